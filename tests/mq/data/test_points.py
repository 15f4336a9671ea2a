"""Clips for ActionFormer: the grid, windows, cuts, batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import DataConfig, GridConfig
from egolib.mq.data.points import (
    PointData,
    PointItem,
    collate,
    cut,
    to_grid,
    to_seconds,
    window_starts,
)
from tests.mq.small import CLASSES, CLIPS, POINTS, clip, store

ROWS = DataConfig(grid=GridConfig(times="rows"))


def data(clips=CLIPS, config=ROWS, rows=60, training=True):
    return PointData(clips, store(clips, rows), CLASSES, POINTS, config, training=training)


def test_frames_are_rounded_down_and_rows_are_not():
    frames = GridConfig()
    assert to_grid([(1.05, 2.0)], 2.0, frames).tolist() == [[(31 - 8) / 16, (60 - 8) / 16]]
    assert to_grid([(1.05, 2.0)], 2.0, GridConfig(times="rows")).tolist() == [[2.1, 4.0]]
    back = to_seconds(to_grid([(1.0, 2.0)], 2.0, frames), 2.0, frames)
    np.testing.assert_allclose(back, [[1.0, 2.0]])


def test_windows_end_where_the_clip_does():
    assert window_starts(10, 16) == [0]
    assert window_starts(32, 16) == [0, 16]
    assert window_starts(40, 16) == [0, 16, 24]


def test_a_long_clip_is_answered_in_windows():
    found = data(rows=150, training=False)
    assert len(found) == 3 * len(CLIPS)
    assert [len(found[n].features) for n in range(3)] == [64, 64, 64]
    assert found[2].first_feat == 150 - 64


def test_labels_begin_after_the_background_and_equal_moments_count_once():
    twice = [clip(0, ("open", 2, 6), ("open", 2, 6), ("close", 1, 3))]
    item = data(twice)[0]
    assert item.moments.tolist() == [[4, 12], [2, 6]] and item.labels.tolist() == [1, 0]


def test_a_cut_keeps_a_moment_and_moves_it():
    item = data()[1]
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = cut(item, 64, GridConfig(crop=(0.5, 0.6)), rng)
        assert 30 <= len(found.features) <= 36 and len(found.moments) >= 1
        inside = found.moments + found.first_feat
        for moment, label in zip(inside, found.labels, strict=True):
            whole = item.moments[item.labels == label]
            assert ((moment[0] >= whole[:, 0]) & (moment[1] <= whole[:, 1])).any()


def test_nothing_is_cut_where_all_is_kept():
    item = data()[0]
    assert cut(item, 64, GridConfig(crop=(1.0, 1.0)), np.random.default_rng(0)) is item


def test_batches_are_padded_and_masked():
    items = [data()[0], replace(data()[1], features=data()[1].features[:10])]
    batch = collate(items, POINTS)
    assert batch.mask.sum(1).tolist() == [60, 10]
    assert torch.equal(batch.features[1, 10:], torch.zeros_like(batch.features[1, 10:]))


def test_a_clip_without_moments_is_refused():
    with pytest.raises(EgolibError, match="without moments"):
        data([clip(0)])


def test_items_for_inference_hold_no_moments():
    item = data(training=False)[0]
    assert isinstance(item, PointItem) and item.moments is None
