"""From scores and offsets of the points of a pyramid to candidate windows on the feature grid.

Shapes: P points of all levels, K classes, N candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Windows before suppression, levels from fine to coarse, each sorted by score.

    Args:
        segments: (N, 2) float32, in features.
        scores: (N,) float32.
        labels: (N,) int64.
    """

    segments: Floats
    scores: Floats
    labels: Integers


def candidates(
    scores: Floats,
    offsets: Floats,
    lengths: tuple[int, ...],
    *,
    score_threshold: float,
    per_level: int,
    shortest: float,
) -> Candidates:
    """The windows of one sample that are likely and long enough.

    Equal scores keep the order of the points.

    Args:
        scores: (P, K) probabilities, 0 in the padding.
        offsets: (P, 2) in strides.
        lengths: points of each level.
        score_threshold: candidates need more than this.
        per_level: the best ones that each level passes on.
        shortest: windows must be longer than this, in features.
    """
    parts = []
    start = 0
    for level, length in enumerate(lengths):
        part = slice(start, start + length)
        index = _best(scores[part].reshape(-1), score_threshold, per_level)
        parts.append(_windows(scores[part], offsets[part], index, 2**level, shortest))
        start += length
    return Candidates(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _best(flat: Floats, score_threshold: float, limit: int) -> Integers:
    """The likeliest entries above the threshold, best first; an entry is point * K + class."""
    index = np.flatnonzero(flat > score_threshold)
    return index[np.argsort(-flat[index], kind="stable")[:limit]]


def _windows(
    scores: Floats, offsets: Floats, index: Integers, stride: int, shortest: float
) -> tuple[Floats, Floats, Integers]:
    step = np.float32(stride)
    point, label = np.divmod(index, scores.shape[1])
    position = point.astype(np.float32) * step
    reach = offsets[point] * step
    segments = np.stack([position - reach[:, 0], position + reach[:, 1]], 1)
    long_enough = segments[:, 1] - segments[:, 0] > shortest
    return segments[long_enough], scores.reshape(-1)[index][long_enough], label[long_enough]
