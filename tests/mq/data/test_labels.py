"""Targets of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.mq.data.labels import clip_targets


def targets(*rows, valid=16, length=16, max_boxes=50):
    table = np.array(rows, float).reshape(-1, 3)
    return clip_targets(table[:, :2], table[:, 2].astype(int), valid, length, max_boxes)


def test_no_moment():
    with pytest.raises(EgolibError, match="without moments"):
        targets()


def test_action_rounds_half_to_even_and_later_moments_win():
    found = targets((0.5, 2.5, 3), (2, 4, 1)).action
    assert found[:6].tolist() == [3, 3, 1, 1, 1, 0]


def test_starts_cover_three_features():
    found = targets((8, 12, 1))
    assert found.start[5:11].tolist() == [0, 0.5, 1, 1, 0.5, 0]
    assert found.end[9:15].tolist() == [0, 0.5, 1, 1, 0.5, 0]


def test_moments_beyond_the_features_lose_their_length():
    found = targets((12, 30, 1), (20, 30, 2), valid=10)
    assert found.moments.tolist() == [[9, 9], [9, 9]]


def test_boxes_are_limited_curves_are_not():
    found = targets(*[(i, i, 1) for i in range(4)], max_boxes=2)
    assert len(found.moments) == len(found.labels) == 2
    assert found.action[:5].tolist() == [1, 1, 1, 1, 0]
