"""Step 2 for one query: from detections to the response track.

Legend: F frames before the query, N frames of the track.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from egolib.errors import EgolibError
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
            end_frame: first frame after the search window.
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


def possible_starts(detections: Detections, cfg: PeakConfig) -> list[Start]:
    """Starts in order of preference: the latest peak first; the last frame without a peak.

    Raises:
        NoBox: the frame has no box (the official code stops with an IndexError).
    """
    frames = search_window(len(detections), cfg)
    if not len(frames):
        raise EgolibError("no frame comes before the query")
    curve = find_curve(frames, detections.best[frames], cfg)
    peaks: list[Peak | None] = list(reversed(high_peaks(curve, cfg)))
    places = [(peak, len(frames) - 1 if peak is None else peak.index) for peak in peaks or [None]]
    return [_start(detections, curve, peak, index) for peak, index in places]


def start_of_track(detections: Detections, cfg: PeakConfig) -> Start:
    """The official start: the latest peak, else the last frame."""
    return possible_starts(detections, cfg)[0]


def _start(detections: Detections, curve: Curve, peak: Peak | None, index: int) -> Start:
    frame = int(curve.frames[index])
    boxes, _ = detections.frame(frame)
    if not len(boxes):
        raise NoBox(
            f"no box in frame {frame}, where the track should start",
            remedy="lower the detector's score threshold and run step 1 again",
        )
    return Start(frame, boxes[0], curve, index, peak)


def localize(
    detections: Detections,
    frames: Frames,
    tracker: Tracker | None,
    cfg: LocalizeConfig,
    *,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Answer:
    """The answer to a query.

    Args:
        detections: of the frames before the query.
        frames: gives RGB frames of the clip in the annotated size.
        tracker: None answers with the single box of the start frame.

    Without a peak the answer is the best box of the last frame, and nothing is tracked.
    ``cfg.track_check`` can pass over a peak whose track does not look like the object.
    """
    starts = possible_starts(detections, cfg.peaks)
    answers: list[Answer] = []
    for rejected, start in enumerate(starts):
        followed = _follow(start, len(detections), frames, tracker, seed)
        similarity = track_similarity(followed.rows, detections)
        evidence = gather(start.curve, start.peak, start.index, followed.responses, similarity)
        score = confidence(cfg.confidence, evidence, calibration)
        answers.append(Answer(Track.from_rows(followed.rows, score), start, evidence, rejected))
        if cfg.track_check == "official" or similarity >= cfg.least_similarity:
            return answers[-1]
        if len(answers) == cfg.peaks_tried:
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
    """
    scores = []
    for frame, *box in rows:
        boxes, found = detections.frame(int(frame))
        overlapping = found[_iou(np.array(box, np.float64), boxes) >= least_iou]
        scores.append(overlapping.max(initial=0.0))
    return float(np.mean(scores)) if scores else 0.0


def _iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(n,) IoU of one box with boxes (n, 4)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-9)
