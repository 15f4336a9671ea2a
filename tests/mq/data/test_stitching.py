"""Windows, cuts and stitched items."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from egolib.mq.config import DataConfig
from egolib.mq.data.stitching import inference_windows, short_windows, stitch, training_windows
from tests.mq.small import SMALL

MODEL = replace(SMALL, length=40, stitch_gap=4)


def test_windows_begin_every_quarter_of_the_scale():
    assert inference_windows(45, 40) == [(0, 39), (10, 44), (20, 44), (30, 44), (40, 44)]


def test_only_windows_with_a_whole_moment_are_trained_on():
    moments = np.array([[32.0, 44.0]])
    found = training_windows(moments, 45, MODEL, DataConfig(), random.Random(0))
    assert found == [(10, 44), (20, 44), (30, 44)]


def test_cuts_hold_their_moment():
    rng = random.Random(0)
    for _ in range(50):
        ((first, last),) = short_windows([(20, 24)], (0, 39), 15, rng)
        assert first <= 20 and last >= 24 and last - first <= 15


def test_a_long_moment_opens_no_cut():
    assert short_windows([(5, 30)], (0, 39), 15, random.Random(0)) == []


def test_a_moment_that_reaches_out_ends_the_cut():
    cuts = short_windows([(10, 12), (20, 38)], (0, 39), 15, random.Random(3))
    assert len(cuts) == 1
    assert cuts[0][1] <= 20


def test_long_windows_stay_as_they_are():
    features = np.arange(60 * 6, dtype=float).reshape(60, 6)
    found = stitch(features, np.array([[12.0, 20.0]]), (10, 39), MODEL)
    assert found.valid == 30
    assert found.moments_feat.tolist() == [[2, 10]]
    assert not found.features[:, 30:].any()


def test_short_windows_stand_before_their_stretched_copy():
    features = np.repeat(np.arange(60.0)[:, None], 6, axis=1)
    found = stitch(features, np.array([[12.0, 16.0], [0.0, 30.0]]), (10, 19), MODEL)
    assert found.valid == 10
    assert not found.features[:, 10:14].any()
    np.testing.assert_allclose(found.features[0, [0, 9, 14, 39]], [10, 19, 10, 19])
    assert found.chosen.tolist() == [0, 0]  # the second is not inside
    np.testing.assert_allclose(found.moments_feat, [[2, 6], [14 + 5, 14 + 16]])
