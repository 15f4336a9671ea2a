"""How far one gets without looking: fixed intervals, the same for every question.

The intervals are fitted on the training annotations: from a grid of positions and
lengths, first the one that answers most questions, then each time the one that adds
most. What a model reaches beyond them, it has seen.

Shapes: Q questions, N candidate intervals, K intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.metrics.moments import THRESHOLDS
from egolib.nlq.data.annotations import Query
from egolib.nlq.formats.submission import prediction
from egolib.ops.segments import hull_iou

Family = Literal["relative", "mixed", "absolute"]
FAMILIES: tuple[Family, ...] = get_args(Family)

FRACTIONS = np.linspace(0, 1, 41)  # positions, as fractions of the clip
FRACTION_LENGTHS = np.geomspace(0.005, 0.5, 24)
STEPS = 121  # positions in seconds, up to the longest clip
SECOND_LENGTHS = np.geomspace(1, 300, 24)
CHUNK = 256  # candidates compared at once

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """Fixed intervals, best first.

    Args:
        family: ``relative``: centre and length are fractions of the clip; ``mixed``: the
            length is in seconds; ``absolute``: both are.
        intervals: (K, 2) centre and length.
    """

    family: Family
    intervals: Floats

    def windows_sec(self, durations_sec: Floats) -> Floats:
        """(Q, K, 2) windows in clips of these lengths (Q,), cut at their ends."""
        return _windows(self.family, self.intervals, durations_sec)

    def __str__(self) -> str:
        """The first interval in words."""
        centre, half = self.intervals[0][0], self.intervals[0][1] / 2
        if self.family == "mixed":
            return f"{half:.1f} s to both sides of {centre:.0%} of the clip"
        start, end = max(centre - half, 0), centre + half
        if self.family == "relative":
            return f"{start:.1%} to {end:.1%} of the clip"
        return f"{start:.1f} to {end:.1f} s"


def fit(queries: Sequence[Query], family: Family = "mixed", count: int = 5) -> Prior:
    """The intervals that answer most questions, greedily.

    The first has the highest mean of R@1 over the thresholds; each further one adds
    most to that mean.

    Args:
        queries: with answers.
        family: of the intervals, see ``Prior``.
        count: how many intervals.
    """
    truth, durations = _truth(queries)
    candidates = _grid(family, float(durations.max()))
    hits = _hits(family, candidates, truth, durations)  # N T Q
    open_ = np.ones(hits.shape[1:], bool)  # T Q, not answered yet
    chosen: list[int] = []
    for _ in range(count):
        gains = (hits & open_).sum((1, 2))
        chosen.append(int(gains.argmax()))
        open_ &= ~hits[chosen[-1]]
    return Prior(family, candidates[chosen])


def fit_best(queries: Sequence[Query], count: int = 5) -> Prior:
    """The family whose first interval answers most questions of the training list."""
    priors = [fit(queries, family, count) for family in FAMILIES]
    truth, durations = _truth(queries)
    firsts = [_hits(p.family, p.intervals[:1], truth, durations).mean() for p in priors]
    return priors[int(np.argmax(firsts))]


def predict(prior: Prior, queries: Sequence[Query]) -> list[dict[str, Any]]:
    """The prior's answer to each question, as prediction records."""
    durations = np.array([query.duration_sec for query in queries])
    scores = 1.0 / np.arange(1, len(prior.intervals) + 1)
    return [
        prediction(query, windows, scores)
        for query, windows in zip(queries, prior.windows_sec(durations), strict=True)
    ]


def _truth(queries: Sequence[Query]) -> tuple[Floats, Floats]:
    """(Q, 2) first windows and (Q,) durations."""
    known = [q for q in queries if q.windows_sec]
    if not known:
        raise EgolibError("a prior needs questions with answers")
    windows = np.array([q.windows_sec[0] for q in known if q.windows_sec])
    return windows, np.array([q.duration_sec for q in known])


def _grid(family: Family, longest_sec: float) -> Floats:
    """(N, 2) centres and lengths."""
    centres = np.linspace(0, longest_sec, STEPS) if family == "absolute" else FRACTIONS
    lengths = FRACTION_LENGTHS if family == "relative" else SECOND_LENGTHS
    return np.stack(np.meshgrid(centres, lengths, indexing="ij"), -1).reshape(-1, 2)


def _windows(family: Family, intervals: Floats, durations: Floats) -> Floats:
    """(Q, N, 2)"""
    clip = durations[:, None]
    centre, length = (np.broadcast_to(x, (len(durations), len(intervals))) for x in intervals.T)
    centre = centre if family == "absolute" else centre * clip
    length = length * clip if family == "relative" else length
    windows = np.stack([centre - length / 2, centre + length / 2], -1)
    return np.clip(windows, 0, clip[..., None])


def _hits(family: Family, intervals: Floats, truth: Floats, durations: Floats) -> NDArray[np.bool_]:
    """(N, T, Q) whether an interval answers a question at a threshold."""
    parts = []
    for first in range(0, len(intervals), CHUNK):
        windows = _windows(family, intervals[first : first + CHUNK], durations)  # Q N 2
        overlap = hull_iou(windows, truth[:, None]).T  # N Q
        parts.append(overlap[:, None] > np.reshape(THRESHOLDS, (-1, 1)))
    return np.concatenate(parts)
