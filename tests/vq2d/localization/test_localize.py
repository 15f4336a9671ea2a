"""From detections to an answer, with a tracker that does as it is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.vq2d.config import LocalizeConfig, PeakConfig
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.localize import (
    NoBox,
    localize,
    possible_starts,
    start_of_track,
    track_similarity,
)
from egolib.vq2d.localization.tracks import Followed

PEAKS = PeakConfig(distance=3, width=1, prominence=0.05, threshold=0.5)
CFG = LocalizeConfig(peaks=PEAKS)
EARLY, LATE = [10, 10, 20, 20], [40, 10, 50, 20]


class Steady:
    """Keeps the start box for a frame before and after."""

    def __init__(self):
        self.starts = []

    def follow(self, frames, start_frame, end_frame, box_xyxy, seed):
        self.starts.append((start_frame, end_frame, tuple(box_xyxy), seed))
        numbers = range(max(start_frame - 1, 0), min(start_frame + 2, end_frame))
        return Followed(np.array([[n, *box_xyxy] for n in numbers]), np.full(len(numbers), 0.5))


def two_peaks() -> Detections:
    """A high peak at frames 5 to 9, a lower one at 15 to 19, 25 frames."""
    scores = [[0.1]] * 5 + [[0.9]] * 5 + [[0.1]] * 5 + [[0.6]] * 5 + [[0.1]] * 5
    return Detections.from_frames([[EARLY]] * 12 + [[LATE]] * 13, scores)


def frames(number: int) -> np.ndarray:
    return np.zeros((48, 64, 3), np.uint8)


def test_the_latest_peak_is_tracked() -> None:
    tracker = Steady()
    answer = localize(two_peaks(), frames, tracker, CFG, seed=7)
    ((start, end, box, seed),) = tracker.starts
    assert 15 <= start < 20 and end == 25 and box == tuple(LATE) and seed == 7
    assert answer.track.score == 1.0
    assert len(answer.track) == 3 and answer.start.peak is not None


def test_without_a_peak_the_last_frame_answers() -> None:
    tracker = Steady()
    config = replace(CFG, peaks=replace(PEAKS, threshold=0.95))
    answer = localize(two_peaks(), frames, tracker, config)
    assert tracker.starts == []
    assert answer.track.frames.tolist() == [24] and answer.start.peak is None


def test_without_a_tracker_one_box_answers() -> None:
    answer = localize(two_peaks(), frames, None, CFG)
    assert len(answer.track) == 1 and 15 <= answer.track.frames[0] < 20


def test_no_box_where_the_track_should_start() -> None:
    nothing = Detections.from_frames([[], []], [[], []])
    with pytest.raises(NoBox, match="no box in frame 1"):
        start_of_track(nothing, PEAKS)


def early_hole(late: list[list[int]] | None = None) -> Detections:
    """Two peaks; the earlier one's middle frame has no box, nor has the later one's by option."""
    found = two_peaks()
    boxes = [found.frame(n)[0].tolist() for n in range(len(found))]
    scores = [found.frame(n)[1].tolist() for n in range(len(found))]
    for number in [7] if late is None else [7, 17]:
        boxes[number], scores[number] = [], []
    return Detections.from_frames(boxes, scores)


def test_an_earlier_peak_without_boxes_does_not_end_the_query() -> None:
    """The official code looks at the latest peak only; a check passes over an empty one."""
    answer = localize(early_hole(), frames, Steady(), CFG)
    assert answer.start.frame == 17 and len(answer.start.curve.peaks) == 2
    checked = replace(CFG, track_check="similarity", least_similarity=2.0)
    answer = localize(early_hole(), frames, Steady(), checked)
    assert answer.start.frame == 17 and answer.rejected == 0
    assert [start.frame for start in possible_starts(early_hole(), PEAKS)] == [17]


def test_a_latest_peak_without_boxes_ends_it() -> None:
    with pytest.raises(NoBox, match="no box in frame 17"):
        localize(early_hole(late=[]), frames, Steady(), CFG)


def test_confidence_options_change_the_score_only() -> None:
    plain = localize(two_peaks(), frames, Steady(), CFG)
    for kind in ("height", "prominence", "margin", "response", "length", "similarity"):
        found = localize(two_peaks(), frames, Steady(), replace(CFG, confidence=kind))
        np.testing.assert_array_equal(found.track.boxes_xyxy, plain.track.boxes_xyxy)
        assert found.track.score == pytest.approx(getattr(found.evidence, kind))
    assert found.track.score != plain.track.score


class TestTrackCheck:
    """A late peak whose track does not look like the object."""

    def detections(self) -> Detections:
        found = two_peaks()
        scores = found.scores.copy()
        scores[20:] = 0.0  # after the late peak nothing is alike
        return Detections(found.counts, found.boxes_xyxy, scores)

    def test_similarity_passes_over_it(self) -> None:
        config = replace(CFG, track_check="similarity", least_similarity=0.7)
        answer = localize(self.detections(), frames, Steady(), config)
        assert answer.rejected == 1
        assert answer.track.boxes_xyxy[0].tolist() == EARLY

    def test_official_keeps_it(self) -> None:
        answer = localize(self.detections(), frames, Steady(), CFG)
        assert answer.rejected == 0
        assert answer.track.boxes_xyxy[0].tolist() == LATE

    def test_where_none_passes_the_latest_is_kept(self) -> None:
        config = replace(CFG, track_check="similarity", least_similarity=2.0)
        answer = localize(self.detections(), frames, Steady(), config)
        assert answer.track.boxes_xyxy[0].tolist() == LATE


def test_track_similarity() -> None:
    detections = Detections.from_frames([[EARLY, LATE], []], [[0.9, 0.4], []])
    rows = np.array([[0, *LATE], [1, *LATE]])
    assert track_similarity(rows, detections) == pytest.approx(0.2)
    assert track_similarity(np.zeros((0, 5)), detections) == 0.0


def test_starts_in_order_of_preference() -> None:
    starts = list(possible_starts(two_peaks(), PEAKS))
    assert [15 <= s.frame < 20 for s in starts] == [True, False]
