"""Metrics of moment retrieval (Ego4D natural-language queries): recall@k at an IoU.

Shapes: Q questions, W windows of the longest list, T thresholds, K values of k.
Everything is computed on packed arrays, without a loop over questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from egolib.ops.segments import hull_iou

THRESHOLDS = (0.3, 0.5)
TOP_K = (1, 5, 10)

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Recall:
    """Recall of ranked windows.

    Args:
        values: (T, K) fraction of questions that one of the first k windows hits.
        thresholds: a hit needs an IoU above this.
        top_k: the values of k.
        mean_iou: mean IoU of the first windows.
    """

    values: Floats
    thresholds: tuple[float, ...]
    top_k: tuple[int, ...]
    mean_iou: float

    def at(self, k: int, threshold: float) -> float:
        """R@k at one threshold."""
        return float(self.values[self.thresholds.index(threshold), self.top_k.index(k)])

    @property
    def mean_recall_at_1(self) -> float:
        """Mean of R@1 over the thresholds, the leaderboard's ranking value."""
        return float(self.values[:, self.top_k.index(1)].mean())

    def table(self) -> dict[str, float]:
        """Percentages by name, for instance ``R@1 IoU=0.3``."""
        return {
            f"R@{k} IoU={t:g}": 100 * float(self.values[i, j])
            for j, k in enumerate(self.top_k)
            for i, t in enumerate(self.thresholds)
        }


def pack(lists: Sequence[Sequence[Sequence[float]]], most: int) -> Floats:
    """(Q, W, 2) start and end of at most ``most`` windows each, NaN behind the last one.

    Args:
        lists: for each question its windows, best first; only the first two numbers
            of a window count.
        most: windows of a question that are looked at.
    """
    counts = np.fromiter((min(len(windows), most) for windows in lists), np.int64, len(lists))
    kept = chain.from_iterable(windows[:most] for windows in lists)
    values = np.fromiter(chain.from_iterable(window[:2] for window in kept), float)
    packed = np.full((len(lists), counts.max(initial=0), 2), np.nan)
    packed[np.arange(packed.shape[1]) < counts[:, None]] = values.reshape(-1, 2)
    return packed


def recall(
    windows: Floats,
    truth: Floats,
    thresholds: Sequence[float] = THRESHOLDS,
    top_k: Sequence[int] = TOP_K,
) -> Recall:
    """Recall of packed windows against one true window each.

    Official behaviour: the IoU's union is the hull of both windows; a hit is an IoU
    strictly above the threshold; 0/0 is a miss (and counts 0 in the mean IoU).

    Args:
        windows: (Q, W, 2), NaN where a question has fewer windows.
        truth: (Q, 2).
        thresholds: temporal IoU from which a window counts.
        top_k: how many of the first windows are looked at, several numbers.
    """
    overlap = np.nan_to_num(hull_iou(windows, truth[:, None]))  # Q W
    hits = overlap > np.reshape(thresholds, (-1, 1, 1))  # T Q W
    values = [hits[:, :, :k].any(2).mean(1) for k in top_k] if len(truth) else []
    return Recall(
        np.stack(values, 1) if values else np.zeros((len(thresholds), len(top_k))),
        tuple(thresholds),
        tuple(top_k),
        float(overlap[:, 0].mean()) if overlap.size else 0.0,
    )
