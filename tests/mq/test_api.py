"""``mq.load(...).find(...)``: egolib and official files, classes, rates, long clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib import mq
from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.mq import api
from egolib.mq.formats.checkpoint import to_official
from egolib.mq.models.vsgn import build
from tests.mq.small import LABELS, SMALL

NAMES = ["Background", *LABELS]


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(40, SMALL.feature_width)).astype(np.float32)


@pytest.fixture
def finder():
    return api.MomentFinder(build(SMALL, 0), NAMES, rows_per_sec=2.0)


def test_detection_and_retrieval(finder, features):
    every = finder.find(features)
    assert set(every.labels) <= set(LABELS)
    assert (np.diff(every.scores) <= 0).all() and len(every.scores) == 200
    assert every.duration_sec == 20 and every.segments_sec.max() <= 20
    asked = finder.find(features, "wash")
    assert set(asked.labels) == {"wash"}
    both = finder.find(features, ["wash", "open"])
    assert set(both.labels) == {"wash", "open"}
    assert len(both.of("wash")) + len(both.of("open")) == len(both.labels)


def test_times_follow_the_rate(finder, features):
    """With one feature a second instead of two, all times are twice as large."""
    two, one = finder.find(features, "open"), finder.find(features, "open", duration_sec=40.0)
    np.testing.assert_allclose(2 * two.segments_sec, one.segments_sec)
    np.testing.assert_allclose(two.scores, one.scores)


def test_long_clips_are_searched_to_their_end(finder):
    rows = np.random.default_rng(1).normal(size=(150, SMALL.feature_width))
    found = finder.find(rows)
    assert found.duration_sec == 75
    assert found.segments_sec.max() > 64 / 2  # behind what the network takes at once
    alone = finder.propose(rows[:64].astype(np.float32), 2.0)
    whole = finder.propose(rows.astype(np.float32), 2.0)
    np.testing.assert_allclose(whole.scores[: len(alone)], alone.scores, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((4, 5))}, r"shape \(4, 5\), \(n, 6\) are needed"),
        ({"features": np.zeros((0, 6))}, "are needed"),
        ({"features": np.full((4, 6), np.nan)}, "NaN"),
        ({"classes": "opne"}, "did you mean open"),
    ],
)
def test_wrong_questions(finder, features, change, message):
    with pytest.raises(EgolibError, match=message):
        finder.find(**{"features": features, **change})


def test_no_rate(features):
    finder = api.MomentFinder(build(SMALL, 0), NAMES)
    with pytest.raises(EgolibError, match="how long the clip is"):
        finder.find(features)
    with pytest.raises(EgolibError, match="2 class names"):
        api.MomentFinder(build(SMALL, 0), NAMES[:2])


def test_saved_and_loaded(finder, features, tmp_path):
    file = api.save(tmp_path / "a.safetensors", finder.model, NAMES, rows_per_sec=2.0)
    again = mq.load(file, device="cpu")
    np.testing.assert_array_equal(
        again.find(features).segments_sec, finder.find(features).segments_sec
    )
    np.testing.assert_array_equal(
        mq.find(features, model=file, device="cpu").scores, finder.find(features).scores
    )


def test_official_files(finder, features, tmp_path):
    state = {f"module.{k}": v for k, v in to_official(finder.model).items()}
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "best.pth.tar")
    loaded = mq.load(tmp_path / "best.pth.tar", like=SMALL, device="cpu")
    assert loaded.class_names == ("Background", "1", "2", "3")
    named = mq.load(tmp_path / "best.pth.tar", classes=NAMES, like=SMALL, device="cpu")
    found = named.find(features, rows_per_sec=2.0)
    np.testing.assert_array_equal(found.segments_sec, finder.find(features).segments_sec)
    with pytest.raises(EgolibError, match="class names"):
        mq.load(tmp_path / "best.pth.tar", classes=["a"], like=SMALL)


def test_what_a_run_trained(root, runs):
    finder = mq.load(runs / "2_train", device="cpu")
    found = finder.find(open_store(root / "features").get("val0"), ["open"])
    assert found.duration_sec == 16 and set(found.labels) == {"open"}
