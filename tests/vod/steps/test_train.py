"""Training by configuration: what the engine is given, and what it leaves behind."""

from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vod.api import load
from egolib.vod.config.networks import frcnn_r101_dc5
from egolib.vod.steps import train
from tests.vod.project import SELSA, changed, make_root, step


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("root"))


def training(root, out, changes=None, **inputs):
    made = step("2_train", root, root.parent / "runs", changes)
    return changed(made, out=out, inputs={**made.inputs, **inputs})


def test_clips_are_videos_and_stills(root, tmp_path):
    data = train.training_data(training(root, tmp_path, SELSA))
    assert len(data) == 7 + 2
    clip = data.sample(8, train.first_draws(training(root, tmp_path)))
    assert len(clip.references) == 2
    assert (clip.references[0].pixels == clip.key.pixels).all()  # a still is its own reference


def test_weights_load_without_knowing_more(root, tmp_path):
    result = train.train(training(root, tmp_path))
    assert result.updates == 4
    detector = load(result.weights)
    assert detector.config.resnet.width == 4 and detector.class_names == ("mug", "jar")


@pytest.mark.parametrize("method", ["official", "zero_based"])
def test_a_run_repeats_itself(root, tmp_path, method):
    changes = {"data": {"frame_offset": method}}
    first, second = (train.train(training(root, tmp_path / n, changes)) for n in "ab")
    assert first.weights.read_bytes() == second.weights.read_bytes()


def test_starting_from_an_earlier_training(root, tmp_path, capsys):
    first = train.train(training(root, tmp_path / "first"))
    later = training(root, tmp_path / "later", SELSA, initial=tmp_path / "first")
    state = train.build_job(later).model.state_dict()
    assert "fresh: ['detector.head.aggregators']" in capsys.readouterr().out
    trained, _ = checkpoint.load(first.weights)
    assert all(torch.equal(state[name], value) for name, value in trained.items())
    assert train.train(later).updates == 4


def test_initial_weights_that_are_not_there(root, tmp_path):
    with pytest.raises(EgolibError, match="not found"):
        train.build_job(training(root, tmp_path, {"train": {"initial_weights": "r101.pth"}}))


def test_the_schedule_counts_updates(root, tmp_path):
    factor = train.make_schedule(training(root, tmp_path).config, samples=9)
    assert [factor(t) for t in (1, 2, 3)] == pytest.approx([1, 1, 0.1])


def test_clips_of_an_update(root, tmp_path):
    changes = {"fit": {"batch_size": 6, "micro_batch_size": 2}}
    assert train.clips_per_update(training(root, tmp_path, changes).config) == 6


def test_parameters_by_part():
    table = train.parameter_table(frcnn_r101_dc5())
    assert table.loc["all", "parameters"] == table["parameters"].iloc[:-1].sum() > 5e7
