"""Two trainings in one step."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib import vq2d
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vq2d.api import KYS_NAME, MODEL_NAME, read_kys
from egolib.vq2d.steps import figures, infer, train
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_weights_say_what_they_are(runs: Path) -> None:
    for folder, name in (("detector", MODEL_NAME), ("tracker", KYS_NAME)):
        _, sidecar = checkpoint.load(runs / "2_train" / folder / "model.safetensors")
        assert sidecar["model"] == name
    locator = vq2d.load(str(runs / "2_train" / "tracker" / "model.safetensors"))
    assert locator.config.tracker == "kys"  # found beside the detector, whichever file is named


def test_the_tracker_keeps_the_detectors_backbone(runs: Path) -> None:
    detector, _ = checkpoint.load(runs / "2_train" / "detector" / "model.safetensors")
    tracker = read_kys(runs / "2_train" / "tracker" / "model.safetensors").state_dict()
    for name, value in detector.items():
        if name.startswith("backbone."):
            assert torch.equal(value, tracker[name]), name


def test_samples_without_the_object_can_be_left_out(root: Path, runs: Path) -> None:
    counts = {}
    for name in ("visual_query_clean_aug", "visual_query_clean_aug_neg"):
        own = step("2_train", root, runs, {"data": {"samples": name}})
        samples = train.detector_samples(own)
        counts[name] = sum(sample.frame.box_xyxy is None for sample in samples)
        drawn = train.training_set(own)
        side = own.config.model.reference_side
        assert drawn.sample(0, np.random.default_rng(0)).reference.shape == (3, side, side)
        assert len(figures.samples(drawn, count=2).axes) == 4
    assert counts["visual_query_clean_aug"] == 0 < counts["visual_query_clean_aug_neg"]
    with pytest.raises(EgolibError, match="unknown samples"):
        train.detector_samples(step("2_train", root, runs, {"data": {"samples": "clean"}}))


def test_published_weights_take_the_trackers_place(root: Path, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    changes = {"tracker_train": {"weights": "kys.safetensors"}}
    results = train.train(step("2_train", root, tmp_path, changes))
    assert set(results) == {"detector"}
    own = step("3_infer", root, tmp_path, changes)
    assert infer.tracker_file(own) == root / "kys.safetensors"


def test_parameters_by_part() -> None:
    from egolib.vq2d.config import Config

    table = train.parameter_table(Config())
    assert ("detector", "head") in table.index and ("tracker", "iou_net") in table.index
