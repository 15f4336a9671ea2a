"""How far one gets without looking: fixed intervals for every class, the same in every clip.

For each class they are fitted on the training moments: from a grid of positions and
lengths, first the one that hits most moments, then each time the one that adds most. What
a model reaches beyond them, it has seen.

M moments of a class, N candidate intervals, T thresholds, K intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.metrics.moment_detection import RECALL_THRESHOLDS
from egolib.mq.data.annotations import Clip
from egolib.ops.segments import hull_iou

Family = Literal["relative", "mixed", "absolute"]
FAMILIES: tuple[Family, ...] = get_args(Family)

FRACTIONS = np.linspace(0, 1, 41)  # positions, as fractions of the clip
FRACTION_LENGTHS = np.geomspace(0.002, 1, 32)
STEPS = 41  # positions in seconds, up to the longest clip
SECOND_LENGTHS = np.geomspace(1, 480, 32)

Floats = NDArray[np.float64]
Records = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Prior:
    """Fixed intervals of every class, best first.

    Args:
        family: ``relative``: centre and length are fractions of the clip; ``mixed``: the
            length is in seconds; ``absolute``: both are.
        intervals: by class (K, 2) centre and length.
        scores: by class (K,) moments of a training clip that each interval adds.
    """

    family: Family
    intervals: dict[str, Floats]
    scores: dict[str, Floats]

    def segments_sec(self, label: str, duration_sec: float) -> Floats:
        """(K, 2) intervals of a class in a clip of this length, cut at its ends."""
        clip = np.array([duration_sec])
        found: Floats = _segments(self.family, self.intervals[label], clip)[0]
        return found


def fit(clips: Sequence[Clip], family: Family = "mixed", count: int = 50) -> Prior:
    """The intervals that hit most moments of each class, greedily.

    A hit counts for each threshold of the retrieval score.

    Args:
        clips: with moments.
        family: of the intervals.
        count: most intervals of a class.

    Raises:
        EgolibError: no clip has a moment.
    """
    moments = _by_class(clips)
    if not moments:
        raise EgolibError("a prior needs clips with moments")
    grid = _grid(family, max(clip.duration_sec for clip in clips))
    intervals, scores = {}, {}
    for label, (truth, durations) in moments.items():
        chosen, gains = _greedy(_hits(family, grid, truth, durations), count)
        intervals[label] = grid[chosen]
        scores[label] = gains / len(clips)
    return Prior(family, intervals, scores)


def detect(prior: Prior, clips: Iterable[Clip], limit: int = 200) -> Records:
    """The most frequent intervals of all classes, for every clip.

    Args:
        prior: fitted intervals.
        clips: to answer.
        limit: answers of a clip.
    """
    rows = [
        (label, rank, score)
        for label, scores in prior.scores.items()
        for rank, score in enumerate(scores.tolist())
    ]
    rows = sorted(rows, key=lambda row: -row[2])[:limit]
    return {clip.clip_uid: _answers(prior, clip, rows) for clip in clips}


def retrieve(prior: Prior, clips: Iterable[Clip]) -> Records:
    """The intervals of each class that a clip is asked for, its moments' classes.

    Args:
        prior: fitted intervals.
        clips: with moments; a class that the prior does not know gets no answer.
    """
    found = {}
    for clip in clips:
        rows = [
            (label, rank, score)
            for label in clip.labels
            for rank, score in enumerate(prior.scores.get(label, np.zeros(0)).tolist())
        ]
        found[clip.clip_uid] = _answers(prior, clip, rows)
    return found


def _answers(prior: Prior, clip: Clip, rows: list[tuple[str, int, float]]) -> list[dict[str, Any]]:
    labels = dict.fromkeys(label for label, _, _ in rows)
    segments = {label: prior.segments_sec(label, clip.duration_sec).tolist() for label in labels}
    return [
        {"label": label, "score": score, "segment": segments[label][rank]}
        for label, rank, score in rows
    ]


def _by_class(clips: Sequence[Clip]) -> dict[str, tuple[Floats, Floats]]:
    """By class (M, 2) moments and (M,) durations of their clips."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for clip in clips:
        for moment in clip.moments:
            row = (moment.start_sec, moment.end_sec, clip.duration_sec)
            found.setdefault(moment.label, []).append(row)
    tables = {label: np.array(rows, np.float64) for label, rows in found.items()}
    return {label: (table[:, :2], table[:, 2]) for label, table in tables.items()}


def _grid(family: Family, longest_sec: float) -> Floats:
    """(N, 2) centres and lengths."""
    centers = np.linspace(0, longest_sec, STEPS) if family == "absolute" else FRACTIONS
    lengths = FRACTION_LENGTHS if family == "relative" else SECOND_LENGTHS
    return np.stack(np.meshgrid(centers, lengths, indexing="ij"), -1).reshape(-1, 2)


def _segments(family: Family, intervals: Floats, durations_sec: Floats) -> Floats:
    """(M, N, 2) intervals (N, 2) in clips of these lengths (M,), cut at their ends."""
    clip = durations_sec[:, None]
    center, length = (np.broadcast_to(x, (len(clip), len(intervals))) for x in intervals.T)
    center = center if family == "absolute" else center * clip
    length = length * clip if family == "relative" else length
    return np.clip(np.stack([center - length / 2, center + length / 2], -1), 0, clip[..., None])


def _hits(family: Family, grid: Floats, truth: Floats, durations_sec: Floats) -> NDArray[np.bool_]:
    """(N, T, M) whether an interval hits a moment at a threshold."""
    segments = _segments(family, grid, durations_sec)  # M N 2
    with np.errstate(invalid="ignore"):
        overlap = hull_iou(segments, truth[:, None]).T  # N M
    return overlap[:, None] > np.reshape(RECALL_THRESHOLDS, (-1, 1))


def _greedy(hits: NDArray[np.bool_], count: int) -> tuple[list[int], Floats]:
    """Rows that add most hits, one after the other, and how many each adds (mean over T)."""
    left = np.ones(hits.shape[1:], bool)  # T M
    chosen: list[int] = []
    gains: list[float] = []
    while len(chosen) < count:
        added = (hits & left).sum((1, 2))
        best = int(added.argmax())
        if not added[best]:
            break
        chosen.append(best)
        gains.append(added[best] / len(left))
        left &= ~hits[best]
    return chosen, np.array(gains)
