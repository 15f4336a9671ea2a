"""``egolib run <task>/3_infer --checkpoint ...`` in every task: whatever form the weights come in,
nothing is trained and the metrics are those of the training's own inference.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from egolib.io.records import read_json
from tests.helpers.tiny import egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]

MINUTES = pytest.mark.skipif(
    os.environ.get("EGOLIB_WALKS") != "all", reason="a further case of a walk: `make walks`"
)
#: task -> its variant, and the name in a published folder -> weights in the folder of 2_train
TRAINED = {
    "vq2d": ("improved", {"model": "detector/model", "kys": "tracker/model"}),
    "vod": ("frcnn_r101_dc5", {"model": "train/model"}),
    "vlp": ("epic_finetune_10", {"model": "train/best"}),
    "nlq": ("finetune", {"model": "train/model"}),
    "mq": ("features_vlp", {"model": "train/model"}),
}
#: what would be trained anew in another run
GIVEN = {"mq": ("--input", "data=runs/tiny/mq/features_vlp/1_data")}
FORMS = ("hub", *(pytest.param(form, marks=MINUTES) for form in ("official", "file", "folder")))


def metrics(root: Path, name: str, task: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(
        root / "runs" / name / task / TRAINED[task][0] / "3_infer" / "result.json"
    )["metrics"]
    return found


def copied(root: Path, task: str, folder: Path) -> Path:
    """A folder as somebody publishes it: weights, each with its sidecar."""
    variant, files = TRAINED[task]
    folder.mkdir(parents=True)
    for name, source in files.items():
        for suffix in (".safetensors", ".json"):
            trained = root / "runs" / "tiny" / task / variant / "2_train" / f"{source}{suffix}"
            shutil.copy(trained, folder / f"{name}{suffix}")
    return folder


def on_the_hub(folder: Path, cache: Path) -> str:
    """What the Hub's client keeps of a repository, and the repository's identity."""
    repository = cache / "hub" / "models--somebody--network"
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return "somebody/network"


def as_official(root: Path, folder: Path, given: Path) -> Path:
    """The weights under their official names, beside each other as they are published."""
    given.mkdir()
    for file in folder.glob("*.safetensors"):
        done = egolib(root, "convert", str(file), str(given / f"{file.stem}.pth"))
        assert done.returncode == 0, done.stderr
    return given / "model.pth"


@pytest.mark.parametrize("task", TRAINED)
@pytest.mark.parametrize("form", FORMS)
def test_weights_in_every_form(
    tiny: tuple[Path, CompletedProcess[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    form: str,
) -> None:
    root, ran = tiny
    assert ran.returncode == 0, ran.stdout + ran.stderr
    folder = copied(root, task, tmp_path / "published")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given: str | Path = folder
    if form == "hub":
        given = on_the_hub(folder, tmp_path / "cache")
    elif form == "official":
        given = as_official(root, folder, tmp_path / "official")
    elif form == "file":
        given = folder / "model.safetensors"
    name = f"weights_{form}"
    sizes = ("--preset", "tiny", "--jobs", "1", "--name", name)
    variant = ("--variant", TRAINED[task][0], *GIVEN.get(task, ()))
    done = egolib(root, "run", f"{task}/3_infer", *variant, *sizes, "--checkpoint", str(given))
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (root / "runs" / name / task / TRAINED[task][0] / "2_train").exists()
    assert json.dumps(metrics(root, name, task)) == json.dumps(metrics(root, "tiny", task))
