"""Points and targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.config import LossConfig
from egolib.nlq.data.annotations import read_queries
from egolib.nn.points import assign, assign_batch, make_points, pyramid_lengths

POINTS = make_points(pyramid_lengths(128, 5))
CONFIG = LossConfig()
GUARANTEED = replace(CONFIG, positives="guaranteed")


def one(windows, config=CONFIG, valid=None, labels=None, classes=1):
    windows = torch.tensor(windows, dtype=torch.float64).reshape(-1, 2)
    labels = torch.zeros(len(windows), dtype=torch.long) if labels is None else labels
    found, offsets = assign(POINTS, windows, labels, config, classes, valid)
    return torch.nonzero(found.sum(1) > 0)[:, 0].tolist(), found, offsets


def test_points():
    assert POINTS.lengths == (128, 64, 32, 16, 8)
    assert POINTS.positions[128:131].tolist() == [0, 2, 4]
    assert POINTS.strides[[0, 128, -1]].tolist() == [1, 2, 16]
    assert pyramid_lengths(961, 7) == (961, 481, 241, 121, 61, 31, 16)


def test_nothing_to_find():
    positive, found, offsets = one([])
    assert positive == [] and found.shape == (248, 1) and not offsets.any()


def test_a_window_of_two_features():
    positive, _, offsets = one([[10.2, 12.2]])
    assert positive == [11, 12]
    np.testing.assert_allclose(offsets[11], [0.8, 1.2])


def test_offsets_are_in_strides():
    positive, _, offsets = one([[20, 44]])
    level = POINTS.levels[positive]
    assert set(level.tolist()) == {2, 3}  # reach 4 to 16 and 8 to 32
    point = next(p for p in positive if POINTS.levels[p] == 3)
    position = POINTS.positions[point].item()
    np.testing.assert_allclose(offsets[point] * 8, [position - 20, 44 - position])


def test_the_shortest_window_wins():
    positive, _, offsets = one([[0, 6], [2, 4]])
    np.testing.assert_allclose(offsets[3], [1, 1])
    assert 3 in positive


def test_classes_of_equal_windows_are_shared():
    _, found, _ = one([[2, 4], [2, 4.0005]], labels=torch.tensor([0, 2]), classes=3)
    assert found[3].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("window", "valid", "point"),
    [
        ((10.2, 10.7), 128, 10),
        ((10.4, 10.9), 128, 11),
        ((10.0, 11.0), 128, 10),  # ends on grid points are not inside
        ((127.2, 127.9), 128, 127),  # the grid ends here
        ((90.1, 90.4), 60, 59),  # behind the end of the video
    ],
)
def test_guaranteed_positives(window, valid, point):
    """The official assignment leaves such windows without any positive."""
    assert one([window])[0] == []
    positive, _, offsets = one([window], GUARANTEED, valid)
    assert positive == [point]
    assert (offsets[point] >= 0).all()


def test_guaranteed_positives_leave_other_windows_alone():
    windows = [[10.2, 12.2], [30.1, 30.3]]
    official, guaranteed = one(windows)[0], one(windows, GUARANTEED)[0]
    assert guaranteed == sorted([*official, 30])


def test_batches_are_stacked_samples():
    windows = [torch.tensor([[10.2, 12.2]]).double(), torch.zeros(0, 2).double()]
    labels = [torch.zeros(1, dtype=torch.long), torch.zeros(0, dtype=torch.long)]
    targets = assign_batch(POINTS, windows, labels, [128, 128], CONFIG)
    assert targets.classes.shape == (2, 248, 1)
    assert targets.positive.sum(1).tolist() == [2, 0]


def test_too_few_ranges():
    with pytest.raises(EgolibError, match="ranges"):
        one([[1, 2]], replace(CONFIG, regression_ranges=((0, 4),)))


def test_real_answers_without_a_point(real_dir):
    """0.70 % of the validation answers are too short to hold a point of the grid."""
    queries = read_queries(real_dir / "nlq" / "nlq_val.json")
    points = make_points(pyramid_lengths(2560, 7))
    labels = torch.zeros(1, dtype=torch.long)
    short = [q.windows_sec for q in queries if q.windows_sec[0][1] - q.windows_sec[0][0] < 1.1]
    found = [
        assign(points, torch.tensor(own).double() * 30 / 16.043, labels, CONFIG)[0].sum()
        for own in short
    ]
    assert sum(int(positives == 0) for positives in found) == 32
