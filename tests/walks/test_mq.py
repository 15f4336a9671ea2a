"""mq: the published lines of VSGN and ActionFormer, from a data root in the official layout
(annotations, one feature file a clip or a video) and official checkpoints, with the commands of
``book/reproduce_mq.md``; and features that a run of vlp wrote.

Everything is that of the preset ``paper`` but for the sizes in ``REDUCED``.
"""

from __future__ import annotations

import json
import os
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
from egolib.io.records import read_json
from egolib.mq.config import Config, ModelConfig
from egolib.mq.formats import actionformer, checkpoint
from egolib.mq.models.build import Network, build
from egolib.mq.models.vsgn import VSGN
from tests.helpers.tiny import copy_project, egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("walks_mq")]

ALL = os.environ.get("EGOLIB_WALKS") == "all"
CLASSES = 12  # of the world's table, the background included
REDUCED: dict[str, Any] = {
    "model": {
        "feature_width": 128,
        "classes": CLASSES,
        "length": 64,
        "width": 16,
        "levels": 3,
        "head_layers": 1,
        "norm_groups": 4,
        "anchor_scales": [1, 4],
        "neighbors": 6,
    },
    "data": {"classes": "all_splits"},
    "loss": {"zero_iou_truths": "ignore", "replicas": 1},
    "fit": {"epochs": 2, "batch_size": 2, "log_every": 1},
    "infer": {"limit": 20},
}
POINTS = {
    "model": {
        "actionformer": {
            "width": 16,
            "head_width": 16,
            "heads": 2,
            "stem_blocks": 1,
            "branch_blocks": 2,
            "windows": [5],
        }
    }
}


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

    def step(self, variant: str, step: str) -> Path:
        return self.project / "runs/paper/mq" / variant / step

    def metrics(self, variant: str) -> Any:
        return read_json(self.step(variant, "4_evaluate") / "result.json")["metrics"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = tmp_path_factory.mktemp("walk") / "data"
    world.make("tiny", data)
    opened = FeatureStore(data / "nlq/features/symbolic_video")
    write_features(data, {uid: opened.get(uid) for uid in opened.uids()})
    project = copy_project(tmp_path_factory.mktemp("project"))
    (project / "reduced.yaml").write_text(yaml.safe_dump(REDUCED))
    (project / "points.yaml").write_text(yaml.safe_dump(configs.merge(REDUCED, POINTS)))
    return Place(project, data)


def write_features(data: Path, arrays: dict[str, np.ndarray]) -> None:
    """By clip as EgoVLPv2 and OpenTAD have them, by video as Ego4D has them."""
    for folder in ("mq/features", "mq/egovlp", "ego4d/v2/slowfast8x8_r101_k400"):
        (data / folder).mkdir(parents=True)
    videos = {}
    for name in ("train", "val", "test_unannotated"):
        content = read_json(data / f"ego4d/v2/annotations/moments_{name}.json")
        videos |= {v["clips"][0]["clip_uid"]: v["video_uid"] for v in content["videos"]}
    for uid, video in videos.items():
        rows = torch.from_numpy(arrays[uid])
        torch.save(rows, data / f"mq/features/{uid}.pt")
        torch.save(rows, data / f"ego4d/v2/slowfast8x8_r101_k400/{video}.pt")
        np.save(data / f"mq/egovlp/{uid}.npy", arrays[uid])


def network(variant: str, extra: dict[str, Any] | None = None) -> Network:
    tree = configs.resolve(Config, "mq", variant, "paper")
    model = configs.merge(tree, REDUCED, extra or {})["model"]
    return build(configs.build(ModelConfig, model), 0)


def test_vsgn_from_annotations_to_a_submission(place: Place) -> None:
    place.run("mq", "--variant", "vsgn_egovlpv2")
    found = place.metrics("vsgn_egovlpv2")
    submission = place.step("vsgn_egovlpv2", "3_infer") / "val.json"
    truth = place.data / "ego4d/v2/annotations/moments_val.json"
    files = ("--truth", str(truth), "--predictions", str(submission))
    scored = egolib(place.project, "evaluate", "mq", *files)
    assert json.loads(scored.stdout)["average mAP"] == pytest.approx(found["val"]["average_map"])
    test = place.step("vsgn_egovlpv2", "3_infer") / "test.json"
    asked = place.data / "ego4d/v2/annotations/moments_test_unannotated.json"
    checked = egolib(place.project, "validate", "mq", str(test), "--truth", str(asked))
    assert "clips answered" in checked.stdout, checked.stdout + checked.stderr


def test_an_official_checkpoint_and_what_convert_makes_of_it(place: Place, tmp_path: Path) -> None:
    model = network("vsgn_egovlpv2")
    assert isinstance(model, VSGN)
    state = {f"module.{k}": v for k, v in checkpoint.to_official(model).items()}
    official = tmp_path / "best.pth.tar"
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {}}, official)
    answers = []
    exported, ours = tmp_path / "back.pth", tmp_path / "ours.safetensors"
    name = "vsgn_egovlpv2"
    said = place.run("mq", "--variant", name, "--checkpoint", str(official))
    assert "2_train" not in said
    answers.append((place.step(name, "3_infer") / "val.json").read_bytes())
    for source, target in ((official, ours), (ours, exported)):
        done = egolib(place.project, "convert", str(source), str(target))
        assert done.returncode == 0 and "mq/vsgn" in done.stdout, done.stderr
    back = torch.load(exported, weights_only=True)
    back = back.get("state_dict", back)
    assert all(torch.equal(back[key], value) for key, value in state.items())


def test_actionformer_from_annotations_to_numbers(place: Place, tmp_path: Path) -> None:
    place.run("mq", "--variant", "actionformer_egovlp", sizes="points.yaml")
    assert place.metrics("actionformer_egovlp")["val"]["average_map"] >= 0
    model = network("actionformer_egovlp", POINTS)
    state = actionformer.to_official(model.state_dict())
    official = tmp_path / "epoch_19.pth"
    torch.save({"epoch": 19, "state_dict": state, "state_dict_ema": state}, official)
    given = ("--variant", "actionformer_egovlp", "--checkpoint", str(official))
    place.run("mq/3_infer", *given, sizes="points.yaml")
    first = (place.step("actionformer_egovlp", "3_infer") / "val.json").read_bytes()
    ours = tmp_path / "ours.safetensors"
    done = egolib(place.project, "convert", str(official), str(ours))
    assert done.returncode == 0 and "mq/actionformer" in done.stdout, done.stderr
    assert first


@pytest.mark.skipif(not ALL, reason="a minute: `make walks`")
def test_the_ego4d_baseline(place: Place) -> None:
    place.run("mq", "--variant", "vsgn_ego4d")
    assert place.metrics("vsgn_ego4d")["val"]["average_map"] >= 0


@pytest.mark.skipif(not ALL, reason="minutes, vlp is trained first: `make walks`")
@pytest.mark.parametrize("variant", ["features_vlp", "actionformer"])
def test_features_that_vlp_wrote(place: Place, variant: str) -> None:
    done = egolib(
        place.project, "run", "mq", "--variant", variant, "--preset", "tiny", "--jobs", "1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = place.project / "runs/tiny/mq" / variant
    features = read_json(folder / "1_data/features.json")["place"]
    assert "vlp/mq_features_smallproj/3_infer" in features
    assert read_json(folder / "4_evaluate/result.json")["metrics"]["val"]["average_map"] >= 0
