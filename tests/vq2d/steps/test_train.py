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
from egolib.vq2d.formats.checkpoint import KYS_NAME, MODEL_NAME, read_kys
from egolib.vq2d.steps import figures, train
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_weights_say_what_they_are(runs: Path) -> None:
    for folder, name in (("detector", MODEL_NAME), ("tracker", KYS_NAME)):
        _, sidecar = checkpoint.load(runs / "2_train" / folder / "model.safetensors")
        assert sidecar["model"] == name
    locator = vq2d.load(str(runs / "2_train" / "tracker" / "model.safetensors"))
    assert locator.localize.tracker == "kys"  # found beside the detector, whichever file is named


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
        drawn = train.training_data(own)
        assert train.counts(drawn)["without_object"] == counts[name]
        side = own.config.model.reference_side
        assert drawn.sample(0, np.random.default_rng(0)).reference.shape == (3, side, side)
        assert len(figures.samples(drawn, count=2).axes) == 4
    assert counts["visual_query_clean_aug"] == 0 < counts["visual_query_clean_aug_neg"]
    with pytest.raises(EgolibError, match="data.samples is 'clean'"):
        step("2_train", root, runs, {"data": {"samples": "clean"}})


def test_no_tracker_is_trained_where_a_finished_one_is_taken(
    root: Path, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "1_data", tmp_path / "1_data")
    changes = {"tracker_optim": {"updates": 0}}
    results = train.train(step("2_train", root, tmp_path, changes))
    assert set(results) == {"detector"}


def test_a_start_is_looked_for_before_anything_is_computed(root: Path, runs: Path) -> None:
    own = step("2_train", root, runs, {"initial": {"weights": "weights/no.pkl"}})
    with pytest.raises(EgolibError, match="model_final_f10217.pkl"):
        train.train(own)


def test_the_sidecar_holds_the_settings_of_step_1(root: Path, runs: Path) -> None:
    locator = vq2d.load(runs / "2_train", tracker="none")
    assert locator.detect == step("2_train", root, runs).config.detect


def test_parameters_by_part() -> None:
    from egolib.vq2d.config import Config

    table = train.parameter_table(Config())
    assert ("detector", "head") in table.index and ("tracker", "iou_net") in table.index
