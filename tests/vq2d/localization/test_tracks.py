"""Predicted tracks and their JSON form."""

from __future__ import annotations

import numpy as np

from egolib.vq2d.localization.tracks import Track


def test_the_empty_track() -> None:
    assert len(Track.empty()) == 0
    assert Track.empty().to_json() == {"bboxes": [], "score": 0.0}


def test_rows_are_sorted_and_corners_truncated_towards_zero() -> None:
    track = Track.from_rows([[4, 1.9, -0.7, 3, 4], [3, 0, 0, 1, 1]], 0.5)
    assert track.frames.tolist() == [3, 4]
    assert track.to_json()["bboxes"][1] == {"fno": 4, "x1": 1, "x2": 3, "y1": 0, "y2": 4}


def test_json_and_back() -> None:
    track = Track.from_rows([[3, 0, 1, 5, 6], [4, 1, 2, 6, 7]], 0.25)
    again = Track.from_json(track.to_json())
    np.testing.assert_array_equal(again.boxes_xyxy, track.boxes_xyxy)
    assert again.frames.tolist() == [3, 4] and again.score == 0.25
