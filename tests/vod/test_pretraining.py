"""The backbone's first training on cut-out objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vod import pretraining
from egolib.vod.config import ObjectConfig
from egolib.vod.models.build import build_model
from egolib.vod.steps import data, train
from tests.vod.project import changed, make_root, step


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("root"))


@pytest.fixture
def made(root, tmp_path):
    return changed(step("2_train", root, root.parent), out=tmp_path)


def test_objects_are_cut_out_whole_and_in_proportion():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:30, 10:50] = 200
    square = pretraining._square(image, np.array([10, 20, 50, 30]), 48)
    bright = square[..., 0] > 100
    assert square.shape == (48, 48, 3)
    assert np.ptp(np.flatnonzero(bright.any(axis=0))) == pytest.approx(40, abs=2)
    assert np.ptp(np.flatnonzero(bright.any(axis=1))) == pytest.approx(10, abs=2)


def test_objects_at_the_border_repeat_it():
    image = np.full((20, 20, 3), 77, np.uint8)
    assert (pretraining._square(image, np.array([15, 15, 25, 25]), 16) == 77).all()


def test_every_training_object_counts(made):
    squares, labels = pretraining.cut_out(data.training_sources(made), 32)
    assert squares.shape == (7 * 2 + 2, 32, 32, 3) and squares.dtype == np.uint8
    assert sorted(set(labels.tolist())) == [0, 1]
    inputs = pretraining.as_input(squares[:3], made.config.data.pipeline)
    assert inputs.shape == (3, 3, 32, 32) and inputs.dtype == torch.float32
    with pytest.raises(EgolibError, match="no object"):
        pretraining.cut_out([], 32)


def test_jitter_moves_and_relights_within_its_limits():
    rng = np.random.default_rng(0)
    squares = np.full((200, 16, 16, 3), 128, np.uint8)
    squares[:, 4:12, 4:12] = 160
    config = ObjectConfig(turn=0, zoom=0, shift=0.25, light=0.1)
    changed = pretraining.jitter(squares, config, rng)
    middles = [np.argwhere(c[..., 0] > c.min() + 10).mean(axis=0) for c in changed]
    assert np.abs(np.array(middles) - 7.5).max() <= 4.01 and np.std(middles) > 1
    grey = np.full((200, 8, 8, 3), 128, np.uint8)
    levels = pretraining.jitter(grey, config, rng)[:, 0, 0, 0].astype(int)
    assert levels.min() >= 128 * 0.9 - 1 and levels.max() <= 128 * 1.1 and np.std(levels) > 3
    still = ObjectConfig(turn=0, zoom=0, shift=0, light=0)
    assert (pretraining.jitter(squares, still, rng) == squares).all()


def test_half_of_the_objects_are_mirrored():
    squares = np.zeros((400, 8, 8, 3), np.uint8)
    squares[:, :, 4:] = 200
    still = ObjectConfig(turn=0, zoom=0, shift=0, light=0)
    changed = pretraining.jitter(squares, still, np.random.default_rng(0))
    assert (changed[:, 0, 0, 0] == 200).mean() == pytest.approx(0.5, abs=0.1)


def test_the_backbone_learns(made):
    torch.manual_seed(0)
    model = build_model(made.config.model)
    backbone = model.detector.backbone
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    losses = pretraining.learn_objects(
        backbone,
        data.training_sources(made),
        2,
        ObjectConfig(updates=60, batch_size=16, side=32, turn=0, zoom=0, shift=0, light=0),
        made.config.data.pipeline,
        np.random.default_rng(0),
    )
    assert np.mean(losses[-20:]) < 0.5 * losses[0]
    assert any(not torch.equal(before[k], v) for k, v in backbone.state_dict().items())


def test_only_a_fresh_start_learns_objects_first(root, tmp_path, capsys):
    changes = {"initial": {"objects": {"updates": 2, "side": 32}}}
    made = changed(step("2_train", root, root.parent, changes), out=tmp_path / "first")
    first = train.train(made)
    assert "learned objects" in capsys.readouterr().out
    again = train.train(changed(made, out=tmp_path / "again"))
    assert first.weights.read_bytes() == again.weights.read_bytes()
    capsys.readouterr()
    inputs = {**made.inputs, "initial": tmp_path / "first"}
    train.build_job(changed(made, inputs=inputs))
    assert "learned objects" not in capsys.readouterr().out
