"""nlq: the published lines of GroundNLQ, from a data root in the official layout (annotations,
EgoClip, LMDB stores) and official checkpoints, with the commands of ``book/reproduce_nlq.md``.

Everything is that of the preset ``paper`` but for the sizes in ``REDUCED``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from egolib import config as configs
from egolib import world
from egolib.io.features import FeatureStore
from egolib.io.foreign_features import write_lmdb
from egolib.io.records import read_json
from egolib.nlq.api import save
from egolib.nlq.config import Config
from egolib.nlq.formats.checkpoint import to_official
from egolib.nlq.models.network import GroundNLQ
from tests.helpers.tiny import copy_project, egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks_nlq")]

REDUCED: dict[str, Any] = {
    "data": {"counts": "any"},
    "model": {
        "video_streams": [["video", 128]],
        "text_streams": [["query", 64]],
        "max_length": 256,
        "width": 16,
        "head_width": 16,
        "heads": 2,
        "text_blocks": 1,
        "stem_blocks": 1,
        "plain_branch_blocks": 3,
    },
    "fit": {"epochs": 6, "workers": 0, "log_every": 1, "evaluate_every": 3},
}
STAR = {"model": {"cross_branch_blocks": 3, "plain_branch_blocks": 0}}


@dataclass
class Place:
    """A project, and beside it a data root as a person has it."""

    project: Path
    data: Path

    def run(self, *arguments: str, sizes: str = "reduced.yaml") -> str:
        """``egolib run ... --preset paper`` on that data, with reduced sizes."""
        given = ("--preset", "paper", "--data-root", str(self.data), "--jobs", "1")
        done = egolib(self.project, "run", *arguments, *given, "--params", sizes)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def step(self, variant: str, step: str, name: str = "paper") -> Path:
        return self.project / "runs" / name / "nlq" / variant / step

    def metrics(self, variant: str, step: str = "4_evaluate", name: str = "paper") -> Any:
        return read_json(self.step(variant, step, name) / "result.json")["metrics"]


def read(store: Path) -> dict[str, np.ndarray]:
    opened = FeatureStore(store)
    return {uid: opened.get(uid) for uid in opened.uids()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = tmp_path_factory.mktemp("walk") / "data"
    world.make("tiny", data)
    texts = read(data / "nlq/features/symbolic_text")
    videos = read(data / "nlq/features/symbolic_video")
    write_lmdb(data / "nlq/video_features", videos.items())
    write_lmdb(data / "nlq/text_features", texts.items(), name="token_features")
    write_lmdb(data / "nlq/narration_text_features", texts.items(), name="token_features")
    project = copy_project(tmp_path_factory.mktemp("project"))
    (project / "reduced.yaml").write_text(yaml.safe_dump(REDUCED))
    (project / "star.yaml").write_text(yaml.safe_dump(configs.merge(REDUCED, STAR)))
    return Place(project, data)


def network(seed: int = 0) -> GroundNLQ:
    tree = configs.merge(configs.resolve(Config, "nlq", "finetune", "paper"), REDUCED)
    torch.manual_seed(seed)
    return GroundNLQ(configs.build(Config, tree).model)


def write_official(path: Path, seed: int = 0) -> GroundNLQ:
    """A file as the authors publish it: epoch, weights, their average, optimiser."""
    model, average = network(seed), network(seed + 100)
    content = {
        "epoch": 5,
        "state_dict": to_official(model),
        "scheduler": {},
        "optimizer": {"state": {}, "param_groups": []},
        "state_dict_ema": to_official(average),
    }
    torch.save(content, path)
    return model


def test_a_published_checkpoint_is_evaluated(place: Place, tmp_path: Path):
    write_official(tmp_path / "epoch_005.pth.tar")
    said = place.run(
        "nlq", "--variant", "finetune", "--checkpoint", str(tmp_path / "epoch_005.pth.tar")
    )
    assert "2_train" not in said
    found = place.metrics("finetune")["val"]
    assert 0 <= found["r1_at_0.5"] <= found["r1_at_0.3"] <= found["r5_at_0.3"] <= 100


def test_every_form_of_a_checkpoint_answers_alike(place: Place, tmp_path: Path):
    """An official file, a folder with it, an egolib checkpoint, what ``convert`` makes of both."""
    model = write_official(tmp_path / "epoch_005.pth.tar", seed=3)
    ours = save(tmp_path / "ours" / "model.safetensors", model)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.pth.tar").write_bytes((tmp_path / "epoch_005.pth.tar").read_bytes())
    exported = tmp_path / "exported.pth"
    assert egolib(place.project, "convert", str(ours), str(exported)).returncode == 0
    answers = []
    for given in (tmp_path / "epoch_005.pth.tar", tmp_path / "folder", ours, exported):
        place.run("nlq/3_infer", "--variant", "finetune", "--checkpoint", str(given))
        answers.append((place.step("finetune", "3_infer") / "val.json").read_bytes())
    assert len(set(answers)) == 1


def test_from_scratch(place: Place):
    place.run("nlq", "--variant", "scratch")
    assert place.metrics("scratch", "2_train")["updates"] > 6
    assert place.metrics("scratch")["val"]["r5_at_0.3"] >= 0
    assert (place.step("scratch", "2_train") / "train" / "epoch_005.safetensors").is_file()


def test_pre_training_then_fine_tuning(place: Place):
    said = place.run("nlq", "--variant", "finetune")
    assert "nlq/pretrain/2_train" in said
    log = (place.step("finetune", "2_train") / "2_train.ipynb").read_text()
    assert "epoch_005.safetensors: " in log and "entries loaded, fresh" in log
    found = json.loads((place.step("finetune", "3_infer") / "val.json").read_text())
    assert found["challenge"] == "ego4d_nlq_challenge"


def test_fine_tuning_from_the_authors_pre_training(place: Place):
    command = ("run", "nlq/2_train", "--variant", "finetune_published", "--params", "reduced.yaml")
    given = ("--preset", "paper", "--data-root", str(place.data), "--jobs", "1")
    absent = egolib(place.project, *command, *given)
    assert absent.returncode == 1 and "pretrained.pth.tar" in absent.stdout + absent.stderr
    write_official(place.data / "nlq" / "pretrained.pth.tar", seed=5)
    place.run("nlq", "--variant", "finetune_published")
    assert "val" in place.metrics("finetune_published")


def test_the_ensemble_of_the_challenge(place: Place):
    """Two epochs of GroundNLQ and GroundNLQ*, both pre-trained and fine-tuned on train+val."""
    place.run("nlq", "--variant", "finetune_trainval")
    place.run("nlq", "--variant", "star_finetune_trainval", sizes="star.yaml")
    assert "ensemble" in place.metrics("star_finetune_trainval")
    epoch = place.step("finetune_trainval", "2_train") / "train" / "epoch_004.safetensors"
    place.run(
        *("nlq/3_infer", "--variant", "finetune_trainval", "--name", "epoch4"),
        *("--checkpoint", str(epoch)),
    )
    files = [
        place.step("finetune_trainval", "3_infer") / "test.json",
        place.step("finetune_trainval", "3_infer", "epoch4") / "test.json",
        place.step("star_finetune_trainval", "3_infer") / "test.json",
    ]
    out = place.project / "joined.json"
    done = egolib(place.project, "ensemble", "nlq", *map(str, files), "--out", str(out))
    assert done.returncode == 0, done.stderr
    truth = place.data / "ego4d/v2/annotations/nlq_test_unannotated.json"
    checked = egolib(place.project, "validate", "nlq", str(out), "--truth", str(truth))
    assert "every question answered" in checked.stdout, checked.stdout + checked.stderr
