"""Merged features."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.nlq.data.vslnet.resampling import merge


def rows(count):
    return np.arange(count, dtype=np.float32)[:, None] * np.ones(2, np.float32)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_short_clips_stay(count):
    assert merge(rows(count), 4) is not None
    np.testing.assert_array_equal(merge(rows(count), 4), rows(count))


@pytest.mark.parametrize(
    ("count", "official", "complete"),
    [
        # borders 0 1.25 2.5 3.75 5 are rounded to 0 1 2 4 5, the last one is cut to 4
        (5, [0, 1, 2.5, 4], [0, 1, 2.5, 4]),
        # 0 1.5 3 4.5 6 -> 0 2 3 4 6, cut to 5: feature 5 is left out
        (6, [0.5, 2, 3, 4], [0.5, 2, 3, 4.5]),
        (8, [0.5, 2.5, 4.5, 6], [0.5, 2.5, 4.5, 6.5]),
    ],
)
def test_means_of_groups(count, official, complete):
    np.testing.assert_allclose(merge(rows(count), 4)[:, 0], official)
    np.testing.assert_allclose(merge(rows(count), 4, "complete")[:, 1], complete)


@pytest.mark.parametrize(("count", "counts"), [(149, True), (150, False), (333, False)])
def test_the_last_feature(count, counts):
    """Officially it is lost from one and a half times the limit on."""
    features = rows(count)
    other = features.copy()
    other[-1] += 1000
    for merging, expected in (("official", counts), ("complete", True)):
        changed = merge(features, 100, merging) != merge(other, 100, merging)
        assert bool(changed.any()) == expected
        assert changed[-1].all() == expected


def test_every_feature_counts_once():
    complete = merge(rows(1777), 200, "complete")
    assert complete.dtype == np.float32 and complete.shape == (200, 2)
    assert (np.diff(complete[:, 0]) > 0).all()
