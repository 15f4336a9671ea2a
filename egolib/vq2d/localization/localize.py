"""Step 2 for one query: from detections to the response track.

Legend: F frames before the query, N frames of the track.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.ops import boxes_numpy as bx
from egolib.vq2d.config import LocalizeConfig, PeakConfig
from egolib.vq2d.formats.detections import Detections
from egolib.vq2d.localization.confidence import Calibration, Evidence, confidence, gather
from egolib.vq2d.localization.peaks import Curve, Peak, find_curve, high_peaks, search_window
from egolib.vq2d.localization.tracks import Followed, Track

Frames = Callable[[int], np.ndarray]


class Tracker(Protocol):
    """Anything that follows a box both ways."""

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        """The track around a start box.

        Args:
            frames: gives the RGB frame (H, W, 3) uint8 of a clip frame, annotated size.
            start_frame: where the box is known.
            end_frame: first frame after the search window.
            box_xyxy: its corners, integers.
            seed: of the tracker's random numbers.
        """


class NoBox(EgolibError):
    """The frame where a track should start has no box."""


@dataclass(frozen=True)
class Start:
    """Where a track begins.

    Args:
        frame: clip frame.
        box_xyxy: (4,) pixels.
        curve: the score curve it was found on.
        index: position in the curve.
        peak: None where no peak is high enough.
    """

    frame: int
    box_xyxy: np.ndarray
    curve: Curve
    index: int
    peak: Peak | None


@dataclass(frozen=True)
class Answer:
    """The answer to a query.

    Args:
        track: boxes and confidence.
        start: where tracking began.
        evidence: what the confidence rests on.
        rejected: how many later peaks were passed over by the check.
    """

    track: Track
    start: Start
    evidence: Evidence
    rejected: int = 0


def possible_starts(detections: Detections, config: PeakConfig) -> Iterator[Start]:
    """Starts in order of preference: the latest peak, then earlier ones that have a box.

    Without a peak it is the last frame. A start is looked at when it is asked for, as the
    official code looks at the first one only.

    Raises:
        NoBox: the first start's frame has no box (the official code stops with an IndexError).
    """
    frames = search_window(len(detections), config)
    if not len(frames):
        raise EgolibError("no frame comes before the query")
    curve = find_curve(frames, detections.best[frames], config)
    peaks = high_peaks(curve, config)
    if not peaks:
        yield _start(detections, curve, None, len(frames) - 1)
        return
    yield _start(detections, curve, peaks[-1], peaks[-1].index)
    for peak in reversed(peaks[:-1]):
        if detections.counts[curve.frames[peak.index]]:
            yield _start(detections, curve, peak, peak.index)


def start_of_track(detections: Detections, config: PeakConfig) -> Start:
    """The official start: the latest peak, else the last frame."""
    return next(possible_starts(detections, config))


def _start(detections: Detections, curve: Curve, peak: Peak | None, index: int) -> Start:
    frame = int(curve.frames[index])
    boxes, _ = detections.frame(frame)
    if not len(boxes):
        raise NoBox(
            f"no box in frame {frame}, where the track should start",
            remedy="lower detect.score_threshold and run step 1 again",
        )
    return Start(frame, boxes[0], curve, index, peak)


def localize(
    detections: Detections,
    frames: Frames,
    tracker: Tracker | None,
    config: LocalizeConfig,
    *,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Answer:
    """The answer to a query.

    Args:
        detections: of the frames before the query.
        frames: gives RGB frames of the clip in the annotated size.
        tracker: None answers with the single box of the start frame.
        config: peaks, check and confidence.
        seed: of the tracker's random numbers.
        calibration: for ``confidence: calibrated``.

    Without a peak the answer is the best box of the last frame, and nothing is tracked.
    ``config.track_check`` can pass over a peak whose track does not look like the object.
    """
    answers: list[Answer] = []
    for rejected, start in enumerate(possible_starts(detections, config.peaks)):
        followed = _follow(start, len(detections), frames, tracker, seed)
        similarity = track_similarity(followed.rows, detections)
        evidence = gather(start.curve, start.peak, start.index, followed.responses, similarity)
        score = confidence(config.confidence, evidence, calibration)
        answers.append(Answer(Track.from_rows(followed.rows, score), start, evidence, rejected))
        if config.track_check == "official" or similarity >= config.least_similarity:
            return answers[-1]
        if len(answers) == config.peaks_tried:
            break
    return answers[0]


def _follow(
    start: Start, end_frame: int, frames: Frames, tracker: Tracker | None, seed: int
) -> Followed:
    box = start.box_xyxy.astype(np.int64)
    if tracker is None or start.peak is None:
        return Followed(np.array([[start.frame, *box]]), np.ones(1))
    return tracker.follow(frames, start.frame, end_frame, box.tolist(), seed)


def track_similarity(rows: np.ndarray, detections: Detections, least_iou: float = 0.5) -> float:
    """Mean over the track of the best detection score that overlaps its box; 0 where none does.

    Args:
        rows: (N, 5) (frame, x1, y1, x2, y2).
        detections: of the frames before the query.
        least_iou: of a detection that counts.
    """
    scores = []
    for frame, *box in rows:
        boxes, found = detections.frame(int(frame))
        overlaps = bx.iou(np.array([box], np.float64), boxes)[0]
        overlapping = found[overlaps >= least_iou]
        scores.append(overlapping.max(initial=0.0))
    return float(np.mean(scores)) if scores else 0.0
