"""Packed tracks and their overlaps, on tables that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.box_tracks import overlap, pack_tracks, ranges, temporal_iou

UNIT = (0, 0, 10, 10)


def packed(*tracks: tuple[int, list[tuple]]):
    """Tracks from (first frame, boxes)."""
    rows = [(first + i, *box) for first, boxes in tracks for i, box in enumerate(boxes)]
    return pack_tracks(np.array(rows, float), [len(boxes) for _, boxes in tracks])


def test_ranges() -> None:
    assert ranges(np.array([], int)).tolist() == []
    assert ranges(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


class TestPacking:
    def test_boxes_may_come_in_any_order(self) -> None:
        tracks = pack_tracks(np.array([[6, 1, 1, 2, 2], [5, 0, 0, 1, 1]]), [2])
        assert tracks.first_frame.tolist() == [5]
        assert tracks.boxes_xyxy[0].tolist() == [0, 0, 1, 1]

    def test_empty_tracks_stay_in_place(self) -> None:
        tracks = packed((0, []), (4, [UNIT, UNIT]), (0, []))
        assert tracks.lengths.tolist() == [0, 2, 0]
        assert tracks.first_frame.tolist() == [0, 4, 0]

    def test_a_gap_is_refused_and_named(self) -> None:
        rows = np.array([[0, *UNIT], [4, *UNIT], [6, *UNIT]], float)
        with pytest.raises(ValueError, match="track 1"):
            pack_tracks(rows, [1, 2])

    def test_lengths_must_add_up(self) -> None:
        with pytest.raises(ValueError, match="lengths"):
            pack_tracks(np.zeros((2, 5)), [3])

    def test_take(self) -> None:
        tracks = packed((0, [UNIT]), (3, [UNIT, (1, 1, 2, 2)]))
        taken = tracks.take(np.array([1, 0, 1]))
        assert taken.lengths.tolist() == [2, 1, 2]
        assert taken.boxes_xyxy[1].tolist() == taken.boxes_xyxy[4].tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("first", "length", "expected"),
    [
        (10, 4, 1.0),
        (12, 4, 2 / 6),
        (14, 4, 0.0),  # inclusive frames that only touch
        (10, 2, 0.5),
        (0, 0, 0.0),
    ],
)
def test_temporal_iou(first: int, length: int, expected: float) -> None:
    truth = packed((10, [UNIT] * 4))
    assert temporal_iou(packed((first, [UNIT] * length)), truth)[0] == pytest.approx(expected)


def test_two_empty_tracks_share_nothing() -> None:
    nothing = packed((0, []))
    assert temporal_iou(nothing, nothing).tolist() == [0.0]
    assert overlap(nothing, nothing).stiou.tolist() == [0.0]


def test_spatio_temporal_iou_counts_volumes() -> None:
    predicted = packed((1, [(5, 0, 15, 10), UNIT]))
    truth = packed((0, [UNIT, UNIT]))
    found = overlap(predicted, truth)
    # frame 1 shares 50 of 200 + 200 - 50
    assert found.stiou[0] == pytest.approx(50 / 350)
    assert found.frame_iou.tolist() == pytest.approx([50 / 150])
