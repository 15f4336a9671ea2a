"""Tracks of boxes through frames, many at once, and how far they overlap.

Legend: N tracks, L boxes of all tracks, P pairs of tracks, F frames that pairs share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from egolib.ops.boxes_numpy import paired_intersection


@dataclass(frozen=True)
class Tracks:
    """N tracks, each over a contiguous run of frames, packed into one table of boxes.

    Attributes:
        first_frame: (N,) int64, first frame of each track (0 for an empty one).
        lengths: (N,) int64, number of frames (0 for an empty track).
        boxes_xyxy: (L, 4) float64, the boxes of all tracks, track after track.
    """

    first_frame: np.ndarray
    lengths: np.ndarray
    boxes_xyxy: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> np.ndarray:
        """(N,) row of each track's first box."""
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)

    @property
    def track_of_box(self) -> np.ndarray:
        """(L,) the track that each box belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, chosen: np.ndarray) -> Tracks:
        """The tracks with these indices, in this order."""
        lengths = self.lengths[chosen]
        rows = np.repeat(self.starts[chosen], lengths) + ranges(lengths)
        return Tracks(self.first_frame[chosen], lengths, self.boxes_xyxy[rows])

    def areas(self) -> np.ndarray:
        """(L,) box areas, (x2 - x1)(y2 - y1)."""
        x1, y1, x2, y2 = self.boxes_xyxy.T
        result: np.ndarray = (x2 - x1) * (y2 - y1)
        return result


def ranges(lengths: np.ndarray) -> np.ndarray:
    """Counts from 0 for each length, joined.

    >>> ranges(np.array([2, 0, 3]))
    array([0, 1, 0, 1, 2])
    """
    ends = np.cumsum(lengths)
    result: np.ndarray = np.arange(ends[-1] if len(ends) else 0) - np.repeat(
        ends - lengths, lengths
    )
    return result


def pack_tracks(rows: np.ndarray, lengths: Sequence[int] | np.ndarray) -> Tracks:
    """Tracks from a table of boxes; boxes of one track may come in any order.

    Args:
        rows: (L, 5) numbers (frame, x1, y1, x2, y2), track after track.
        lengths: (N,) number of rows of each track.

    Raises:
        ValueError: the frames of a track are not contiguous; its index is named.
    """
    rows = np.asarray(rows, np.float64).reshape(-1, 5)
    lengths = np.asarray(lengths, np.int64).reshape(-1)
    if lengths.sum() != len(rows):
        raise ValueError(f"lengths sum to {lengths.sum()}, but there are {len(rows)} boxes")
    track = np.repeat(np.arange(len(lengths)), lengths)
    rows = rows[np.lexsort((rows[:, 0], track))]
    gaps = (np.diff(rows[:, 0]) != 1) & (np.diff(track) == 0)
    if gaps.any():
        raise ValueError(f"track {track[:-1][gaps][0]}: its frames are not contiguous")
    first = np.zeros(len(lengths), np.int64)
    filled = lengths > 0
    first[filled] = rows[(np.cumsum(lengths) - lengths)[filled], 0]
    return Tracks(first, lengths, rows[:, 1:])


# ----------------------------------------------------------------------- overlaps


def temporal_iou(predicted: Tracks, truth: Tracks) -> np.ndarray:
    """(P,) fraction of common frames in the frames of either track, pair by pair.

    Frames count inclusively; two empty tracks give 0.
    """
    common = _common_frames(predicted, truth)[1]
    return _ratio(common, predicted.lengths + truth.lengths - common)


@dataclass(frozen=True)
class Overlap:
    """What P predictions and their truths share, frame by frame.

    Attributes:
        stiou: (P,) spatio-temporal IoU: sum over common frames of the intersections,
            over the two volumes less that sum; 0 where both volumes are 0 (the
            official code divides by zero there).
        pair: (F,) index of the prediction that a common frame belongs to.
        frame_iou: (F,) IoU of the two boxes in that frame.
    """

    stiou: np.ndarray
    pair: np.ndarray
    frame_iou: np.ndarray


def overlap(predicted: Tracks, truth: Tracks) -> Overlap:
    """Per-frame and spatio-temporal overlap of P pairs of tracks."""
    first, common = _common_frames(predicted, truth)
    pair = np.repeat(np.arange(len(common)), common)
    step = ranges(common)
    a = np.repeat(predicted.starts + first - predicted.first_frame, common) + step
    b = np.repeat(truth.starts + first - truth.first_frame, common) + step
    box_a, box_b = predicted.boxes_xyxy[a], truth.boxes_xyxy[b]
    shared = paired_intersection(box_a, box_b)
    area_a, area_b = predicted.areas(), truth.areas()
    frame_iou = _ratio(shared, area_a[a] + area_b[b] - shared)
    total = np.bincount(pair, shared, len(common))
    volumes = np.bincount(predicted.track_of_box, area_a, len(predicted))
    volumes = volumes + np.bincount(truth.track_of_box, area_b, len(truth))
    return Overlap(_ratio(total, volumes - total), pair, frame_iou)


def _common_frames(a: Tracks, b: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """First common frame and number of common frames of each pair."""
    first = np.maximum(a.first_frame, b.first_frame)
    last = np.minimum(a.first_frame + a.lengths, b.first_frame + b.lengths)
    return first, np.clip(last - first, 0, None)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Numerator / denominator, 0 where the denominator is 0."""
    zero = denominator == 0
    return np.where(zero, 0.0, numerator / np.where(zero, 1, denominator))
