"""Recall of ranked windows."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.moments import pack, recall


def test_recall_of_nothing():
    found = recall(pack([], 10), np.zeros((0, 2)))
    assert found.values.shape == (2, 3)
    assert found.values.sum() == found.mean_iou == 0


@pytest.mark.parametrize(
    ("windows", "truth", "expected"),
    [
        ([], (0, 1), [0, 0, 0]),
        ([[0, 10]], (0, 10), [1, 1, 1]),
        ([[20, 30], [0, 10]], (0, 10), [0, 1, 1]),
        ([[0, 5]], (0, 10), [0, 0, 0]),  # exactly 0.5 is no hit
        ([[0, 5.01]], (0, 10), [1, 1, 1]),
        ([[3, 3]], (3, 3), [0, 0, 0]),  # 0/0
        ([[10, 0]], (0, 10), [0, 0, 0]),  # inverted
        ([[20, 30]] * 5 + [[0, 10]], (0, 10), [0, 0, 1]),
        ([[20, 30]] * 10 + [[0, 10]], (0, 10), [0, 0, 0]),
    ],
)
def test_recall_at_half(windows, truth, expected):
    found = recall(pack([windows], 10), np.array([truth], float))
    assert [found.at(k, 0.5) for k in (1, 5, 10)] == expected


def test_names_and_means():
    found = recall(pack([[[0, 4]], [[0, 10]]], 10), np.array([[0, 10], [0, 10]], float))
    assert found.table()["R@1 IoU=0.3"] == 100
    assert found.table()["R@1 IoU=0.5"] == 50
    assert found.mean_recall_at_1 == 0.75
    assert found.mean_iou == pytest.approx(0.7)


def test_pack_keeps_the_first_windows_and_two_numbers():
    packed = pack([[[1, 2, 0.9], [3, 4, 0.8]], [], [[5, 6]]], 1)
    np.testing.assert_array_equal(packed[:, 0], [[1, 2], [np.nan, np.nan], [5, 6]])
