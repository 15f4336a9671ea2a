"""Motion tables: from tracks, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from egolib.errors import EgolibError
from egolib.metrics.motion_speed import (
    motion_from_tracks,
    read_motion,
    table_from_rows,
    write_motion,
)


def tracks(boxes: list[list[float]], frames: list[int], instance: list[int], videos: list[int]):
    count = max(frames) + 1
    return motion_from_tracks(
        np.arange(count), np.array(videos), np.array(frames), np.array(instance), np.array(boxes)
    )


def test_no_boxes():
    table = motion_from_tracks(
        np.arange(3), np.zeros(3, int), np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4))
    )
    assert len(table.values) == 0 and table.counts.tolist() == [0, 0, 0]
    assert table.entries().tolist() == [0, 0, 0]


def test_standing_still_and_being_alone_is_one():
    table = tracks([[0, 0, 4, 4]] * 3 + [[9, 9, 12, 12]], [0, 1, 2, 2], [5, 5, 5, 6], [0] * 3)
    assert table.values.tolist() == [1, 1, 1, 1] and table.counts.tolist() == [1, 1, 2]


def test_mean_over_neighbours_in_both_directions():
    boxes = [[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]]
    table = tracks(boxes, [0, 1, 2], [1, 1, 1], [0] * 3)
    third = 50 / 150
    assert table.values.tolist() == pytest.approx([third / 2, third, third / 2])


def test_neighbours_end_after_the_window():
    boxes = [[0.0, 0, 10, 10], [5, 0, 15, 10]]
    near = tracks(boxes, [0, 10], [1, 1], [0] * 11)
    far = tracks(boxes, [0, 11], [1, 1], [0] * 12)
    assert near.values[0] == pytest.approx(1 / 3) and far.values.tolist() == [1, 1]


def test_equals_a_literal_loop():
    rng = np.random.default_rng(0)
    frames, instance, boxes = [], [], []
    for frame in range(40):
        for track in rng.permutation(4)[: rng.integers(0, 5)]:
            low = rng.uniform(0, 50, 2)
            frames.append(frame)
            instance.append(int(track))
            boxes.append([*low, *(low + rng.uniform(5, 40, 2))])
    table = tracks(boxes, [*frames], instance, [0] * (max(frames) + 1))

    def iou(a, b):
        w = min(a[2], b[2]) - max(a[0], b[0])
        h = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(w, 0) * max(h, 0)
        area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
        return shared / (area[0] + area[1] - shared)

    for i, value in enumerate(table.values):
        near = [
            iou(boxes[i], boxes[j])
            for j in range(len(boxes))
            if j != i and instance[j] == instance[i] and abs(frames[j] - frames[i]) <= 10
        ]
        assert value == pytest.approx(np.mean(near) if near else 1)


def test_files(tmp_path: Path):
    table = table_from_rows([[0.5, 1.0], [], [0.25]])
    again = read_motion(write_motion(tmp_path / "x.npz", table))
    assert [row.tolist() for row in again.rows()] == [[0.5, 1.0], [], [0.25]]
    cell = np.empty((3, 1), object)
    inner = np.empty((1, 2), object)
    inner[0, 0], inner[0, 1] = np.array([[0.5]]), np.array([[1.0]])
    cell[0, 0], cell[1, 0], cell[2, 0] = inner, np.zeros((0, 0)), np.array([[0.25]])
    savemat(tmp_path / "x.mat", {"motion_iou": cell})
    again = read_motion(tmp_path / "x.mat")
    assert [row.tolist() for row in again.rows()] == [[0.5, 1.0], [], [0.25]]
    savemat(tmp_path / "y.mat", {"other": cell})
    with pytest.raises(EgolibError, match="motion_iou"):
        read_motion(tmp_path / "y.mat")
    with pytest.raises(EgolibError, match="missing"):
        read_motion(tmp_path / "z.mat")
