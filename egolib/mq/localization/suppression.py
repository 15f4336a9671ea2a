"""Suppression of overlapping moments, hard and soft, as VSGN's post-processing has it.

N candidates, K classes, A boxes. Segments are (start, end) in any unit, float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from egolib.mq.config import BACKGROUND

Floats = NDArray[np.floating]
Integers = NDArray[np.int64]

BLOCK = 64  # boxes that are compared with all others at once
PREVIEW = 16  # candidates for each wanted pick that soft suppression looks at first


# ---------------------------------------------------------------------- hard, by class


def nms_by_class(
    segments: Floats, scores: Floats, candidates: NDArray[np.bool_], iou_threshold: float
) -> list[Integers]:
    """For every class the boxes that hard suppression keeps, best first.

    The classes share the boxes, so the overlaps are computed once, and all classes go
    through their ranks together.

    Official behaviour: among equal scores the later box comes first; a box goes when its
    IoU with a kept one is above the threshold or 0/0, so that of boxes without length only
    one survives; negative lengths follow the formula.

    Args:
        segments: (A, 2).
        scores: (K, A).
        candidates: (K, A) which boxes take part.
        iou_threshold: largest overlap of two kept boxes.

    Returns:
        K arrays of box indices, int64.
    """
    classes, boxes = scores.shape
    order = np.argsort(scores, axis=1, kind="stable")[:, ::-1]  # K A
    stays = ~_clashes(segments, iou_threshold)
    alive = np.packbits(candidates, axis=1)
    kept = np.zeros((classes, boxes), bool)  # by rank
    rows = np.arange(classes)
    byte, mask = np.arange(boxes) // 8, np.uint8(128) >> (np.arange(boxes) % 8).astype(np.uint8)
    for rank in range(boxes):
        pick = order[:, rank]
        living = np.flatnonzero(alive[rows, byte[pick]] & mask[pick])
        kept[living, rank] = True
        alive[living] &= stays[pick[living]]
    return [ranked[keep] for ranked, keep in zip(order, kept, strict=True)]


def _clashes(segments: Floats, iou_threshold: float) -> NDArray[np.uint8]:
    """(A, A / 8) whether two boxes cannot both stay, eight boxes to a byte."""
    start, end = np.ascontiguousarray(np.asarray(segments, np.float64).T)
    length = end - start
    clashes = np.empty((len(start), -(-len(start) // 8)), np.uint8)
    for first in range(0, len(start), BLOCK):
        block = slice(first, first + BLOCK)
        common = np.minimum(end[block, None], end)
        common -= np.maximum(start[block, None], start)
        np.maximum(common, 0, out=common)
        union = length[block, None] + length
        union -= common
        with np.errstate(invalid="ignore", divide="ignore"):
            common /= union
        clashes[block] = np.packbits(~(common <= iou_threshold), axis=1)
    return clashes


# ------------------------------------------------------------------------------- soft


def soft_nms(
    segments: Floats,
    scores: Floats,
    labels: Integers,
    *,
    sigma: float = 0.46,
    limit: int = 200,
    last_candidate: str = "official",
) -> tuple[Integers, Floats]:
    """Gaussian soft suppression over all classes: indices of the picks, and their scores.

    Each pass picks the highest score (the first among equals) and multiplies those that
    overlap it with exp(-IoU^2 / sigma), where the IoU's union is the hull. Scores only
    fall, so it is enough to look at the best candidates as long as the last pick is at
    least as high as all others were at the start.

    Official behaviour: the last remaining candidate is never picked; background entries are
    dropped when they are reached and neither decay others nor count.

    Args:
        segments: (N, 2).
        scores: (N,).
        labels: (N,) classes; 0 is the background.
        sigma: of the decay.
        limit: most picks.
        last_candidate: ``official``, or ``keep`` to pick it, too.

    Returns:
        indices (P,) int64 into the input, scores (P,) float64.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    count = PREVIEW * limit
    while True:
        part = order[:count]
        whole = len(part) == len(order)
        picks, kept = _soft_nms(
            np.asarray(segments, np.float64)[part],
            np.asarray(scores, np.float64)[part],
            np.asarray(labels)[part],
            sigma,
            limit,
            keep_last=last_candidate == "keep" or not whole,
        )
        if whole or (len(picks) == limit and kept[-1] > scores[order[count]]):
            return part[picks], kept
        count *= 4


def _soft_nms(
    segments: Floats, scores: Floats, labels: Integers, sigma: float, limit: int, keep_last: bool
) -> tuple[Integers, Floats]:
    start, end = np.ascontiguousarray(segments.T)
    scores = scores.copy()
    left, least = len(scores), 0 if keep_last else 1
    picks: list[int] = []
    kept: list[float] = []
    while left > least and len(picks) < limit:
        best = int(scores.argmax())
        score = float(scores[best])
        if not score > 0:
            break
        left -= 1
        scores[best] = -1.0  # out of the game
        if labels[best] == BACKGROUND:
            continue
        picks.append(best)
        kept.append(score)
        common = np.minimum(end, end[best]) - np.maximum(start, start[best])
        near = np.flatnonzero((common > 0) & (scores > 0))
        hull = np.maximum(end[near], end[best]) - np.minimum(start[near], start[best])
        scores[near] *= np.exp(-np.square(common[near] / hull) / sigma)
    return np.array(picks, np.int64), np.array(kept)


def soft_nms_per_class(
    segments: Floats,
    scores: Floats,
    labels: Integers,
    *,
    sigma: float = 0.46,
    limit: int = 200,
    last_candidate: str = "official",
) -> tuple[Integers, Floats]:
    """As ``soft_nms`` within each class; the ``limit`` best of all classes, best first.

    Args:
        segments: (N, 2).
        scores: (N,).
        labels: (N,) classes.
        sigma: of the decay.
        limit: most picks over all classes.
        last_candidate: ``official`` or ``keep``, of every class.
    """
    parts = []
    for label in np.unique(labels):
        group = np.flatnonzero(labels == label)
        picks, kept = soft_nms(
            segments[group],
            scores[group],
            labels[group],
            sigma=sigma,
            limit=limit,
            last_candidate=last_candidate,
        )
        parts.append((group[picks], kept))
    index = np.concatenate([p for p, _ in parts]) if parts else np.zeros(0, np.int64)
    decayed = np.concatenate([s for _, s in parts]) if parts else np.zeros(0)
    best = np.argsort(-decayed, kind="stable")[:limit]
    return index[best], decayed[best]
