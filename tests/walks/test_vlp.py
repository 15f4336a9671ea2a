"""The published lines of EgoVLPv2 as the documentation has them: from a data root in the official
layout and files in the official layout, through the command, to ``result.json``.

The files are those of reduced networks; everything else is what a person with the real ones does.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch

from egolib import config as configs
from egolib import world
from egolib.text.tokens import load_tokenizer
from egolib.vlp.config import Config, ModelConfig
from egolib.vlp.formats import checkpoint
from egolib.vlp.models.build import build
from tests.helpers.tiny import copy_project, egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walk_vlp")]

MINUTES = pytest.mark.skipif(
    os.environ.get("EGOLIB_WALKS") != "all", reason="minutes: `make walks`"
)
SHORT = ("-p", "fit.epochs=1", "-p", "fit.max_updates=2", "-p", "fit.evaluate_every=1")


@dataclass
class Place:
    """A project, and beside it a data root as a person has it."""

    project: Path
    data: Path

    def run(self, *arguments: str) -> CompletedProcess[str]:
        """``egolib run vlp ...`` on the tiny sizes and that data."""
        target, *others = arguments
        sizes = ("--preset", "tiny", "--data-root", str(self.data), "--jobs", "1")
        done = egolib(self.project, "run", target, *others, *sizes)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def result(self, variant: str, step: str = "4_evaluate") -> dict[str, Any]:
        """What a step wrote."""
        file = self.project / "runs/tiny/vlp" / variant / step / "result.json"
        return json.loads(file.read_text())


def network(variant: str, vocabulary: int) -> ModelConfig:
    """The reduced network of a variant."""
    tree = configs.resolve(Config, "vlp", variant, "tiny")
    return replace(configs.build(Config, tree).model, vocabulary_size=vocabulary)


def write_official(path: Path, config: ModelConfig, seed: int = 0) -> Path:
    """A file as the authors publish it: ``module.`` before all names, and more than weights."""
    model, _ = build(config, generator=torch.Generator().manual_seed(seed))
    state = {f"module.{k}": v for k, v in checkpoint.to_official(model).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"arch": "FrozenInTime", "epoch": 10, "state_dict": state}, path)
    return path


def write_encoders(root: Path, config: ModelConfig) -> None:
    """The image and the language model, under the names that their publishers give."""
    model, _ = build(config, generator=torch.Generator().manual_seed(9))
    video, text = (
        {k: v for k, v in part.state_dict().items() if not any(x in k for x in fresh)}
        for part, fresh in ((model.video, ("time", "cross")), (model.text, ("cross",)))
    )
    vit = checkpoint.VIT_KEYS.to_official(video) | {"head.weight": torch.zeros(10, config.width)}
    torch.save(vit, root / "jx_vit_base_p16_224-80ecf9dd.pth")
    words = {f"roberta.{k}": v for k, v in checkpoint.ROBERTA_KEYS.to_official(text).items()}
    (root / "roberta-base").mkdir()
    torch.save(words | {"lm_head.bias": torch.zeros(3)}, root / "roberta-base/pytorch_model.bin")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("walk")
    data = folder / "data"
    world.make("tiny", data)
    size = load_tokenizer(data / "vocabulary.json").size
    small, large = (network(v, size) for v in ("epic_zeroshot", "egomcq_eval"))
    write_official(data / "vlp/EgoVLPv2.pth", large)
    write_official(data / "vlp/EgoVLPv2_smallproj.pth", small)
    write_official(data / "vlp/EgoVLPv2_smallproj_epoch1.pth", small, seed=1)
    write_official(data / "finetuned/EK-100_finetune.pth", small, seed=2)
    write_encoders(data, large)
    return Place(copy_project(tmp_path_factory.mktemp("project")), data)


def test_every_command_of_the_page_is_walked() -> None:
    """Each variant that ``book/reproduce_vlp.md`` names in a command has a walk."""
    page = (configs.project_root() / "book/reproduce_vlp.md").read_text()
    named = set(re.findall(r"^egolib run vlp --variant (\w+)", page, re.MULTILINE))
    files = Path(__file__).parent.glob("test_*.py")
    walked = {name for file in files for name in re.findall(r'"(\w+)"', file.read_text())}
    assert len(named) == 9 and named <= walked, named - walked


def test_egomcq(place: Place) -> None:
    """The authors' file, without any training."""
    done = place.run(
        "vlp", "--variant", "egomcq_eval", "--checkpoint", str(place.data / "vlp/EgoVLPv2.pth")
    )
    assert "2_train" not in done.stdout
    metrics = place.result("egomcq_eval")["metrics"]["egomcq"]
    assert {"Inter-video", "Intra-video"} == metrics["ensemble"].keys()
    compared = egolib(place.project, "compare", "tiny/vlp/egomcq_eval", "--published")
    assert compared.returncode == 0 and "91" in compared.stdout, compared.stderr


def test_retrieval_zero_shot_from_a_folder(place: Place, tmp_path: Path) -> None:
    """A folder that holds one file of weights; only the data of this benchmark is there."""
    (tmp_path / "weights").mkdir()
    source = place.data / "vlp/EgoVLPv2_smallproj.pth"
    (tmp_path / "weights" / source.name).write_bytes(source.read_bytes())
    data = tmp_path / "data"
    data.mkdir()
    for name in ("EK100", "vocabulary.json"):
        (data / name).symlink_to(place.data / name)
    there = replace(place, data=data)
    there.run("vlp", "--variant", "epic_zeroshot", "--checkpoint", str(tmp_path / "weights"))
    metrics = place.result("epic_zeroshot")["metrics"]["epic"]
    assert 0 < metrics["nDCG_AVG"] <= 100
    found = place.result("epic_zeroshot", "3_infer")
    assert found["data"] == {"epic": "epic.npz"}


def test_actions_zero_shot(place: Place) -> None:
    source = place.data / "vlp/EgoVLPv2_smallproj_epoch1.pth"
    place.run("vlp", "--variant", "charades_zeroshot", "--checkpoint", str(source))
    first = place.result("charades_zeroshot")["metrics"]["charades"]
    assert 0 <= first["mAP"] <= 1


def test_egomq_features(place: Place) -> None:
    file = str(place.data / "vlp/EgoVLPv2.pth")
    place.run("vlp", "--variant", "mq_features", "--checkpoint", file)
    folder = place.project / "runs/tiny/vlp/mq_features/3_infer/moments"
    tensors = [torch.load(f) for f in folder.glob("*.pt")]
    assert tensors and all(t.dtype == torch.float32 and t.shape[1] == 32 for t in tensors)


@pytest.mark.parametrize(
    ("variant", "start", "metric"),
    [
        ("epic_finetune_published", "EgoVLPv2_smallproj.pth", "epic"),
        ("charades_finetune_published", "EgoVLPv2_smallproj_epoch1.pth", "charades"),
        ("egotaskqa_direct_published", "EgoVLPv2.pth", "egotaskqa"),
        pytest.param("egotaskqa_indirect_published", "EgoVLPv2.pth", "egotaskqa", marks=MINUTES),
        pytest.param("qfvs_published", "EgoVLPv2.pth", "qfvs", marks=MINUTES),
    ],
)
def test_fine_tuning_from_the_authors_file(
    place: Place, variant: str, start: str, metric: str
) -> None:
    """No pre-training is planned, and the start is the file's."""
    done = place.run("vlp", "--variant", variant, *SHORT)
    assert "egoclip_pretrain" not in done.stdout
    assert metric in place.result(variant)["metrics"]
    notebook = place.project / f"runs/tiny/vlp/{variant}/2_train/2_train.ipynb"
    assert start in notebook.read_text()


def test_the_authors_fine_tuned_file(place: Place) -> None:
    file = str(place.data / "finetuned/EK-100_finetune.pth")
    done = place.run("vlp", "--variant", "epic_finetune_published", "--checkpoint", file)
    assert "2_train" not in done.stdout
    assert "epic" in place.result("epic_finetune_published")["metrics"]


def test_pre_training_starts_from_image_and_language_models(place: Place) -> None:
    starts = ("-p", "initial.vit=jx_vit_base_p16_224-80ecf9dd.pth")
    starts += ("-p", "initial.roberta=roberta-base/pytorch_model.bin")
    place.run("vlp/2_train", "--variant", "egoclip_pretrain", *SHORT, *starts)
    assert place.result("egoclip_pretrain", "2_train")["metrics"]["updates"] == 2
    weights = place.project / "runs/tiny/vlp/egoclip_pretrain/2_train/train/model.safetensors"
    exported = place.project / "mine.pth"
    assert egolib(place.project, "convert", str(weights), str(exported)).returncode == 0
    place.run("vlp/3_infer", "--variant", "egomcq_eval", "--checkpoint", str(exported))
    assert place.result("egomcq_eval", "3_infer")["data"] == {"egomcq": "egomcq.npz"}


def test_score_files_are_validated_and_evaluated(place: Place) -> None:
    """The files that ``3_infer`` wrote, by the commands for files of others."""
    scores = place.project / "runs/tiny/vlp/egomcq_eval/3_infer/egomcq.npz"
    truth = place.data / "egomcq/egomcq.json"
    done = egolib(place.project, "validate", "vlp", str(scores), "--truth", str(truth))
    assert done.returncode == 0 and "valid scores of egomcq" in done.stdout, done.stderr
    files = ("--truth", str(truth), "--predictions", str(scores))
    done = egolib(place.project, "evaluate", "vlp", *files)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout).keys() == {"dual", "fusion", "ensemble"}
