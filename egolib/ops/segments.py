"""Time segments as arrays: overlap, suppression, voting. NumPy only, no loops over candidates.

A segment is ``(start, end)`` in any unit; scores and segments are worked on in
float32, as the published decoders do, so that their order of results is met exactly.

Shapes: N segments, M other segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]
Decay = Literal["hard", "linear", "gaussian"]

EMPTY_AREA = np.float32(1e-6)  # added to every length in suppression, never in voting or metrics


# ------------------------------------------------------------------------- overlap


def intersection(a: Floats, b: Floats) -> Floats:
    """Length of the common part of segments (..., 2), broadcast; at least 0."""
    common = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])
    result: Floats = np.maximum(common, 0)
    return result


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of segments (..., 2), broadcast; NaN for 0/0."""
    common = intersection(a, b)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - common
    with np.errstate(invalid="ignore", divide="ignore"):
        return common / union


def hull_iou(a: Floats, b: Floats) -> Floats:
    """Intersection over the smallest segment that covers both (the NLQ metric's union).

    Equal to ``iou`` for overlapping segments, 0 for disjoint ones, NaN for 0/0.
    """
    hull = np.maximum(a[..., 1], b[..., 1]) - np.minimum(a[..., 0], b[..., 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.maximum(intersection(a, b) / hull, 0)
        return result


# --------------------------------------------------------------------- suppression


def soft_nms(
    segments: Floats,
    scores: Floats,
    *,
    sigma: float = 0.5,
    min_score: float = 0.001,
    iou_threshold: float = 0.1,
    decay: Decay = "gaussian",
    limit: int | None = None,
) -> tuple[Integers, Floats]:
    """Soft suppression: indices of the picks in order, and their decayed scores.

    Each pass picks the highest score (the first place on ties), swaps it to the
    front of the remaining entries and lowers the scores that overlap it; entries
    below ``min_score`` are dropped. The first pick is never tested. One pass is one
    set of array operations, the order included (see ``_close_gaps``).

    Official behaviour: the swap and the way gaps are closed move entries, which
    decides later ties; both are kept. Stopping after ``limit`` picks does not
    change them.

    Args:
        segments: (N, 2).
        scores: (N,).
        sigma: width of the Gaussian decay ``exp(-iou**2 / sigma)``.
        min_score: picks end below it.
        iou_threshold: overlap from which "hard" drops and "linear" multiplies
            with ``1 - iou``; without part in "gaussian".
        decay: how overlap lowers scores: ``gaussian``, ``linear`` or ``hard``.
        limit: how many picks are wanted; None for all.

    Returns:
        indices (K,) int64 into the input, scores (K,) float32, non-increasing.
    """
    work = np.empty((4, len(scores)), np.float32)  # rows: start, end, area, score
    work[:2] = np.asarray(segments, np.float32).reshape(-1, 2).T
    work[2] = work[1] - work[0] + EMPTY_AREA
    work[3] = scores
    order = np.arange(len(scores))
    count, picked = len(scores), 0
    while picked < count and picked != limit:
        best = picked + int(work[3, picked:count].argmax())
        if best != picked:
            work[:, [picked, best]] = work[:, [best, picked]]
            order[picked], order[best] = order[best], order[picked]
        rest = work[:, picked + 1 : count]
        rest[3] *= _decay(_overlap(work[:, picked], rest), decay, sigma, iou_threshold)
        picked += 1
        count = picked + _close_gaps(rest, order[picked:count], rest[3] >= min_score)
    return order[:picked].copy(), work[3, :picked].copy()


def _overlap(pick: Floats, rest: Floats) -> Floats:
    common = np.minimum(pick[1], rest[1])
    common -= np.maximum(pick[0], rest[0])
    np.maximum(common, 0, out=common)
    union = rest[2] + pick[2]
    union -= common
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.divide(common, union, out=common)
        return result


def _decay(overlap: Floats, decay: Decay, sigma: float, iou_threshold: float) -> Floats:
    if decay == "gaussian":
        return np.exp(overlap * overlap / np.float32(-sigma))
    touched = overlap >= iou_threshold
    return np.where(touched, 0 if decay == "hard" else 1 - overlap, np.float32(1))


def _close_gaps(rest: Floats, order: Integers, keep: NDArray[np.bool_]) -> int:
    """Moves the kept columns to the front, in place; returns how many there are.

    Official behaviour: a dropped entry is overwritten by the last active one, which
    is then examined at that place. So kept entries among the first K places stay,
    and the gaps among them are filled by the other kept ones, the last one first.
    """
    kept = int(np.count_nonzero(keep))
    gaps = np.flatnonzero(~keep[:kept])
    if len(gaps):
        fill = kept + np.flatnonzero(keep[kept:])[::-1]
        rest[:, gaps] = rest[:, fill]
        order[gaps] = order[fill]
    return kept


def hard_nms(
    segments: Floats,
    scores: Floats,
    *,
    iou_threshold: float,
    min_score: float = 0.0,
    limit: int | None = None,
) -> Integers:
    """Indices (K,) of the segments that hard suppression keeps, best first.

    Scores must exceed ``min_score``; equal scores keep their input order; a segment
    goes when its overlap with a better kept one reaches ``iou_threshold``.

    Args:
        segments: (N, 2).
        scores: (N,).
        iou_threshold: overlap from which the worse one goes.
        min_score: segments below it go first.
        limit: how many are wanted; None for all.
    """
    order = np.flatnonzero(scores > min_score)
    order = order[np.argsort(-scores[order], kind="stable")]
    bounds = np.asarray(segments, np.float32).reshape(-1, 2)[order].T
    work = np.stack([*bounds, bounds[1] - bounds[0] + EMPTY_AREA])
    kept: list[int] = []
    while len(order) and len(kept) != limit:
        kept.append(int(order[0]))
        stays = ~(_overlap(work[:, 0], work[:, 1:]) >= iou_threshold)
        order, work = order[1:][stays], work[:, 1:][:, stays]
    return np.array(kept, np.int64)


def vote(kept: Floats, segments: Floats, scores: Floats, iou_threshold: float) -> Floats:
    """Kept segments (M, 2), each replaced by a mean of all segments that overlap it enough.

    Weights are score times IoU where IoU reaches ``iou_threshold``.

    Official behaviour: no epsilon guards the IoU, so that a kept segment of zero
    length becomes NaN.

    Args:
        kept: (M, 2).
        segments: (N, 2), all of them.
        scores: (N,), their weights.
        iou_threshold: overlap from which a segment takes part.
    """
    overlap = iou(kept[:, None], segments[None])  # (M, N)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(overlap >= iou_threshold, overlap, overlap * 0) * scores
        result: Floats = (weights / weights.sum(1, keepdims=True)) @ segments
        return result


@dataclass(frozen=True)
class Suppression:
    """Settings of ``suppress``; the values are those of the published NLQ decoder.

    Attributes:
        method: "soft" (Gaussian), "hard" or "none".
        iou_threshold: used by "hard" only.
        min_score: lowest score that survives.
        sigma: of the Gaussian decay.
        max_segments: how many are returned, at least 1.
        per_class: suppress each class by itself, without voting.
        voting_threshold: IoU from which candidates vote; 0 for no voting. Without
            part when ``per_class``.
    """

    method: str = "soft"
    iou_threshold: float = 0.1
    min_score: float = 0.001
    sigma: float = 0.75
    max_segments: int = 5
    per_class: bool = True
    voting_threshold: float = 0.9


def suppress(
    segments: Floats, scores: Floats, labels: Integers, settings: Suppression
) -> tuple[Floats, Floats, Integers]:
    """Final segments (K, 2), scores (K,) and labels (K,), best first, ties in pick order.

    With method "none" all candidates come back as they are.

    Args:
        segments: (N, 2).
        scores: (N,).
        labels: (N,) int; suppression stays within one.
        settings: method, thresholds and numbers.

    Raises:
        EgolibError: an unknown method, or ``max_segments`` below 1.
    """
    if settings.method not in ("soft", "hard", "none"):
        raise EgolibError(f"unknown NMS method {settings.method!r}", remedy="soft, hard or none")
    if settings.max_segments < 1:
        raise EgolibError(
            f"max_segments is {settings.max_segments}: nothing would be left",
            remedy="set it to at least 1",
        )
    segments = np.asarray(segments, np.float32).reshape(-1, 2)
    scores, labels = np.asarray(scores, np.float32), np.asarray(labels, np.int64)
    if settings.method == "none" or not len(scores):
        return segments, scores, labels
    groups = _classes(labels) if settings.per_class else [np.arange(len(labels))]
    picks = [_pick(segments, scores, group, settings) for group in groups]
    index = np.concatenate([index for index, _ in picks])
    decayed = np.concatenate([score for _, score in picks])
    kept = segments[index]
    if not settings.per_class and settings.voting_threshold > 0:
        kept = vote(kept, segments, scores, settings.voting_threshold)
    best = np.argsort(-decayed, kind="stable")[: settings.max_segments]
    return kept[best], decayed[best], labels[index[best]]


def _classes(labels: Integers) -> list[Integers]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _pick(
    segments: Floats, scores: Floats, group: Integers, settings: Suppression
) -> tuple[Integers, Floats]:
    limit = settings.max_segments
    if settings.method == "soft":
        index, decayed = soft_nms(
            segments[group],
            scores[group],
            sigma=settings.sigma,
            min_score=settings.min_score,
            limit=limit,
        )
        return group[index], decayed
    index = hard_nms(
        segments[group],
        scores[group],
        iou_threshold=settings.iou_threshold,
        min_score=settings.min_score,
        limit=limit,
    )
    return group[index], scores[group[index]]
