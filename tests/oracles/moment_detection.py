"""Temporal detection by plain loops: what the vectorised metric and suppression are compared with.

Written for reading, one candidate after the other, without a shared intermediate value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Truth = Mapping[str, Sequence[tuple[str, float, float]]]
"""Clip -> (class, start, end)."""

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Clip -> records with label, score and segment."""

Box = tuple[float, float]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; NaN for two segments without length."""
    common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - common
    return common / union if union else (math.nan if common == 0 else math.inf)


def hull_overlap(a: Box, b: Box) -> float:
    """Intersection over the segment that covers both; NaN for 0/0."""
    hull = max(a[1], b[1]) - min(a[0], b[0])
    common = min(a[1], b[1]) - max(a[0], b[0])
    return max(common / hull, 0.0) if hull else math.nan


# ------------------------------------------------------------------ average precision


def average_precision(
    truth: Truth, results: Results, thresholds: Sequence[float]
) -> dict[str, list[float]]:
    """By class, by first appearance in the truth: the average precision at each threshold."""
    classes = dict.fromkeys(label for moments in truth.values() for label, _, _ in moments)
    return {
        label: [_class_precision(label, truth, results, threshold) for threshold in thresholds]
        for label in classes
    }


def _class_precision(label: str, truth: Truth, results: Results, threshold: float) -> float:
    moments = {
        clip: [(start, end) for name, start, end in found if name == label]
        for clip, found in truth.items()
    }
    ranked = sorted(
        (
            (record["score"], number, clip, tuple(record["segment"]))
            for number, (clip, record) in enumerate(
                (clip, record) for clip, records in results.items() for record in records
            )
            if record["label"] == label
        ),
        reverse=True,
    )
    taken: set[tuple[str, int]] = set()
    hits = [_take(clip, box, moments.get(clip, []), taken, threshold) for _, _, clip, box in ranked]
    return _area(hits, sum(map(len, moments.values())))


def _take(
    clip: str, box: Box, moments: list[Box], taken: set[tuple[str, int]], threshold: float
) -> bool:
    """Whether a prediction takes a moment that is free, the best first."""
    values = [overlap(box, moment) for moment in moments]
    order = sorted(
        range(len(values)),
        key=lambda i: (math.inf if math.isnan(values[i]) else values[i], i),
        reverse=True,
    )
    for i in order:
        if values[i] < threshold:
            return False
        if (clip, i) not in taken:
            taken.add((clip, i))
            return True
    return False


def _area(hits: list[bool], total: int) -> float:
    """Sum over the hits of the best precision from there on, over all moments."""
    area, best = 0.0, 0.0
    right = sum(hits)
    for rank in range(len(hits), 0, -1):
        best = max(best, right / rank)
        if hits[rank - 1]:
            area += best
            right -= 1
    return area / total


# ----------------------------------------------------------------------------- recall


def recall_at_kx(
    truth: Truth, results: Results, thresholds: Sequence[float], top_k: Sequence[int]
) -> list[list[float]]:
    """By threshold and k: the fraction of moments that the first k times m predictions hit."""
    table = []
    for threshold in thresholds:
        row = []
        for k in top_k:
            hit = total = 0
            for clip, moments in truth.items():
                for label, start, end in moments:
                    alike = sum(name == label for name, _, _ in moments)
                    asked = [r["segment"] for r in results[clip] if r["label"] == label]
                    values = [hull_overlap((start, end), box) for box in asked[: k * alike]]
                    hit += any(value > threshold for value in values)
                    total += 1
            row.append(hit / total)
        table.append(row)
    return table


# ------------------------------------------------------------------------ suppression


def hard_nms(segments: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Kept rows, best first; among equal scores the later first."""
    left = sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)
    kept = []
    while left:
        best, *left = left
        kept.append(best)
        left = [i for i in left if overlap(tuple(segments[best]), tuple(segments[i])) <= threshold]
    return kept


def soft_nms(
    segments: np.ndarray, scores: np.ndarray, labels: np.ndarray, sigma: float, limit: int
) -> list[tuple[int, float]]:
    """Picks and their scores; the last remaining candidate is never picked."""
    left = sorted(range(len(scores)), key=lambda i: -scores[i])
    value = {i: float(scores[i]) for i in left}
    picks: list[tuple[int, float]] = []
    while len(left) > 1 and len(picks) < limit:
        best = max(left, key=lambda i: value[i])
        if value[best] <= 0:
            break
        left.remove(best)
        if labels[best] == 0:
            continue
        picks.append((best, value[best]))
        for i in left:
            shared = hull_overlap(tuple(segments[best]), tuple(segments[i]))
            if shared > 0:
                value[i] *= math.exp(-shared * shared / sigma)
    return picks
