"""Training by configuration: what the engine is given, and what it leaves behind."""

from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vod.api import load
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
    with pytest.raises(
        EgolibError, match=r"starts from r101.pth.*not there[\s\S]*initial.weights=none"
    ):
        train.build_job(training(root, tmp_path, {"initial": {"weights": "r101.pth"}}))


def test_the_schedule_counts_updates(root, tmp_path):
    factor = train.make_schedule(training(root, tmp_path).config, samples=9)
    assert [factor(t) for t in (1, 2, 3)] == pytest.approx([1, 1, 0.1])


def test_parameters_by_part(root, tmp_path):
    table = train.parameter_table(training(root, tmp_path))
    assert table.loc["all", "parameters"] == table["parameters"].iloc[:-1].sum() > 5e3


def test_training_is_evaluated_and_the_best_is_kept(root, tmp_path):
    fit = {"evaluate_every_updates": 2, "evaluate_first": True, "monitor": "AP50:max"}
    result = train.train(training(root, tmp_path, SELSA | {"fit": fit}))
    lines = result.evaluations()
    assert [line["update"] for line in lines] == [0, 2, 4]
    assert all({"AP50", "bbox_mAP"} <= line.keys() for line in lines)
    assert result.best is not None and train.metrics(result)["evaluation"] == {
        k: v for k, v in lines[-1].items() if k != "kind"
    }
    plain = train.train(training(root, tmp_path / "plain", SELSA))
    assert plain.weights.read_bytes() == result.weights.read_bytes()  # no draw is disturbed


@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains(root, tmp_path, precision):
    result = train.train(training(root, tmp_path, SELSA | {"fit": {"precision": precision}}))
    train.check(result)
