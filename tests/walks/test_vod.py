"""vod: official checkpoints are tested, published starts are trained from, official results are
scored, with the commands of ``book/reproduce_vod.md`` on the built-in world's official files."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from egolib import config as configs
from egolib.config import build
from egolib.io.records import read_json
from egolib.vod.api import save
from egolib.vod.config import Config
from egolib.vod.data.index import read_index
from egolib.vod.formats.checkpoint import layout
from egolib.vod.formats.submission import read
from egolib.vod.models.build import build_model
from tests.helpers.tiny import copy_project, egolib
from tests.vod.published import write_start

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks_vod")]

TESTED = (
    "mamba_r101_dc5",
    "stpn_swint",
    "selsa_r101_dc5",
    "mega_r101",
    "dff_r101_dc5",
    "fgfa_r101_dc5",
    "tdvit_t",
    "eovod_r101",
    "frcnn_r101_c4",
)
TRAINED = ("mamba_r101_dc5", "stpn_swint", "mega_r101", "eovod_r101", "dff_r101_dc5", "tdvit_t")
WORLD = Path("data/world/tiny")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder whose runs draw the world once."""
    return copy_project(tmp_path_factory.mktemp("walks"))


def small(variant: str) -> tuple[nn.Module, Config]:
    """A variant's network on the tiny preset, with random weights, and its configuration."""
    config = build(Config, configs.resolve(Config, "vod", variant, "tiny"))
    torch.manual_seed(0)
    return build_model(config.model), config


def official(path: Path, variant: str) -> Path:
    """A file as its authors publish it: weights by their names, beside epoch and classes."""
    model, config = small(variant)
    state = layout(config.model).to_official(model.state_dict())
    name = "model" if config.model.detector == "c4" else "state_dict"
    torch.save({name: state, "meta": {"epoch": 6, "CLASSES": ("a", "b")}, "optimizer": {}}, path)
    return path


def run(project: Path, *arguments: str) -> str:
    done = egolib(project, "run", *arguments, "--preset", "tiny", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def result(project: Path, variant: str, step: str) -> dict[str, Any]:
    return read_json(project / "runs" / "tiny" / "vod" / variant / step / "result.json", dict)


@pytest.mark.parametrize("variant", TESTED)
def test_an_official_checkpoint_is_tested(project: Path, tmp_path: Path, variant: str):
    file = official(tmp_path / "epoch_6_model.pth", variant)
    run(project, "vod/4_evaluate", "--variant", variant, "--checkpoint", str(file))
    assert not (project / "runs" / "tiny" / "vod" / variant / "2_train").exists()
    found = result(project, variant, "4_evaluate")
    assert 0 <= found["metrics"]["AP50"] <= 100 and found["metrics"]["coco"]
    frames = result(project, variant, "3_infer")["data"]["frames"]
    assert found["data"]["frames"] == frames > 0
    about = configs.read_variant("vod", variant).about
    if "published" in about:
        done = egolib(project, "compare", f"tiny/vod/{variant}", "--published")
        assert done.returncode == 0 and "published" in done.stdout, done.stderr


@pytest.mark.parametrize("variant", TRAINED)
def test_a_published_start_is_trained_from(project: Path, tmp_path: Path, variant: str):
    model, config = small(variant)
    paper = build(Config, configs.resolve(Config, "vod", variant, "paper"))
    run(project, "vod/1_data", "--variant", variant)
    root = project / WORLD
    options = [f"initial.format={paper.initial.format}", "fit.max_updates=2"]
    for name in ("weights", "flow"):
        file = getattr(paper.initial, name)
        options += [f"initial.{name}={file}"] * bool(file)
        if file:
            write_start(root / file, model, config.model)
    given = [text for option in options for text in ("-p", option)]
    run(project, "vod/2_train", "--variant", variant, *given)
    found = result(project, variant, "2_train")
    assert found["metrics"]["updates"] == 2
    log = (project / "runs" / "tiny" / "vod" / variant / "2_train" / "2_train.ipynb").read_text()
    assert f"{Path(paper.initial.weights).name}: " in log and "entries loaded" in log
    assert "learned objects" not in log


def test_a_published_start_that_is_absent_is_asked_for(project: Path):
    given = ["-p", "initial.weights=weights/absent.pth", "-p", "initial.format=torchvision"]
    command = ["run", "vod/2_train", "--variant", "selsa_r50_dc5", "--preset", "tiny", *given]
    done = egolib(project, *command)
    assert done.returncode == 1
    assert "starts from weights/absent.pth" in done.stdout
    assert "initial.weights=none" in done.stdout


def test_every_form_of_a_checkpoint(project: Path, tmp_path: Path):
    """An egolib file, a folder that holds one, an official file: all through the notebook."""
    variant = "frcnn_r101_dc5"
    model, config = small(variant)
    ours = save(tmp_path / "a" / "model.safetensors", model, config.model, config.data)
    theirs = official(tmp_path / "official.pth", variant)
    found = []
    for given in (ours, ours.parent, theirs):
        run(project, "vod/3_infer", "--variant", variant, "--checkpoint", str(given))
        found.append(result(project, variant, "3_infer")["metrics"]["detections"])
    assert found[0] == found[1] == found[2] > 0


def test_official_results_are_scored(project: Path, tmp_path: Path):
    variant = "frcnn_r101_dc5"
    options = ["-p", "infer.pickle=true", "-p", "infer.format_only=true"]
    file = official(tmp_path / "official.pth", variant)
    run(project, "vod/4_evaluate", "--variant", variant, "--checkpoint", str(file), *options)
    out = project / "runs" / "tiny" / "vod" / variant / "3_infer"
    truth = project / WORLD / "ILSVRC/annotations/imagenet_vid_val.json"
    index = read_index(truth)
    lists = read(out / "detections.npz").lists()
    theirs = tmp_path / "results.pkl"
    theirs.write_bytes(pickle.dumps(lists, protocol=2))
    wanted = result(project, variant, "4_evaluate")["metrics"]["AP50"] / 100
    assert len(lists) == len(index)
    for predictions in (theirs, out / "detections.bbox.json", out / "detections.pkl"):
        command = ["--truth", str(truth), "--predictions", str(predictions)]
        done = egolib(project, "evaluate", "vod", *command)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["AP50"] == pytest.approx(wanted, abs=1e-6)


def commands() -> list[list[str]]:
    """The ``egolib run`` and ``egolib params`` commands of the page, as words."""
    text = (configs.project_root() / "book" / "reproduce_vod.md").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    lines += re.findall(r"`(egolib params[^`]+)`", text)
    return [line.split()[1:] for line in lines if re.match(r"egolib (run|params) ", line)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_of_the_page_are_understood(project: Path, tmp_path: Path, words: list[str]):
    """On the tiny preset, and planned alone: the other tests here run the same ones."""
    official(tmp_path / "epoch_6_model.pth", "mamba_r101_dc5")
    places = {"paper": "tiny", "DIR": str(project / WORLD)}
    words = [places.get(word, word) for word in words]
    words = [str(tmp_path / word) if word.endswith(".pth") else word for word in words]
    done = egolib(project, *words, *(["--dry-run"] if words[0] == "run" else []))
    assert done.returncode == 0, done.stderr
    assert words[words.index("--variant") + 1] in done.stdout
