"""Metrics of temporal detection: mAP over classes, and recall when the class is asked for.

Both are the challenge metrics of Ego4D's moments queries (arXiv 2110.07058, appendix F).
The official evaluators are loops over predictions and truths; here the overlaps of all
pairs are computed at once, and greedy matching runs over all clips and classes together,
one rank after the other.

N segments, P predictions, C classes, T thresholds, K values of k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from egolib.ops.segments import hull_iou, iou

DETECTION_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
RECALL_THRESHOLDS = (0.3, 0.5, 0.7)
TOP_K = (1, 2, 3, 4, 5)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Ties = Literal["official", "file", "expected"]
Convention = Literal["official", "actionformer"]


@dataclass(frozen=True)
class Segments:
    """Labelled segments of a data set, in file order.

    Args:
        clip: (N,) int64 number of the clip.
        label: (N,) int64 class, from 0.
        segment: (N, 2) float64 start and end in seconds.
        score: (N,) float64 for predictions; empty for truths.
    """

    clip: Integers
    label: Integers
    segment: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.clip)

    def groups(self, classes: int) -> Integers:
        """(N,) one number for each clip and class."""
        return self.clip * classes + self.label

    def take(self, rows: NDArray[Any]) -> Segments:
        """Some of the segments."""
        score = self.score[rows] if len(self.score) else self.score
        return Segments(self.clip[rows], self.label[rows], self.segment[rows], score)


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of every class at every threshold.

    Args:
        values: (C, T), 0 for a class without predictions.
        thresholds: a hit needs an IoU of at least this.
    """

    values: Floats
    thresholds: tuple[float, ...]

    @property
    def by_threshold(self) -> Floats:
        """(T,) mean over the classes (mAP)."""
        return self.values.mean(0) if len(self.values) else np.zeros(len(self.thresholds))

    @property
    def mean(self) -> float:
        """Mean over classes and thresholds, the challenge's headline."""
        return float(self.by_threshold.mean())


@dataclass(frozen=True)
class Recall:
    """Recall of the first k times m predictions, m being the moments of a class in a clip.

    Args:
        values: (T, K) fraction of all moments that are hit.
        thresholds: a hit needs an IoU above this.
        top_k: the values of k.
    """

    values: Floats
    thresholds: tuple[float, ...]
    top_k: tuple[int, ...]

    def at(self, k: int, threshold: float) -> float:
        """Recall@kx at one threshold."""
        return float(self.values[self.thresholds.index(threshold), self.top_k.index(k)])


# ------------------------------------------------------------------ average precision


def average_precision(
    truth: Segments,
    predicted: Segments,
    classes: int,
    *,
    thresholds: Sequence[float] = DETECTION_THRESHOLDS,
    zero_length: Literal["official", "miss"] = "official",
    ties: Ties = "official",
    orders: int = 20,
    seed: int = 0,
) -> AveragePrecision:
    """Area under the interpolated precision of every class.

    Predictions are taken by descending score; each is right where it reaches the threshold
    with a true segment of its clip and class that none before has taken, the best first.

    Official behaviour: a prediction and a truth without length have the IoU 0/0 = NaN,
    which is not below any threshold: a hit, wherever they are.

    Args:
        truth: true segments; labels below ``classes``.
        predicted: predictions; those with other labels are left out.
        classes: number C of classes.
        thresholds: least IoU of a hit.
        zero_length: ``official``, or ``miss`` for no hit at 0/0.
        ties: among equal scores ``official`` takes the later one first (NumPy's unstable
            order above 16 entries is not repeated), ``file`` the earlier; ``expected``
            is the mean over random orders.
        orders: how many random orders.
        seed: of the random orders.
    """
    known = predicted.take((predicted.label >= 0) & (predicted.label < classes))
    limits = np.asarray(thresholds, np.float64)
    values = [
        _area_by_class(truth, known.take(order), classes, limits, zero_length)
        for order in _score_orders(known, ties, orders, seed)
    ]
    return AveragePrecision(np.mean(values, axis=0), tuple(thresholds))


def _score_orders(predicted: Segments, ties: Ties, orders: int, seed: int) -> list[Integers]:
    """Orders by class, then by descending score."""
    place = np.arange(len(predicted))
    if ties == "expected":
        rng = np.random.default_rng(seed)
        breaks: list[NDArray[np.float64]] = [rng.random(len(place)) for _ in range(orders)]
    else:
        breaks = [(-place if ties == "official" else place).astype(np.float64)]
    return [np.lexsort((tie, -predicted.score, predicted.label)) for tie in breaks]


def _area_by_class(
    truth: Segments, ranked: Segments, classes: int, thresholds: Floats, zero_length: str
) -> Floats:
    """(C, T) average precision of predictions that are sorted by class and rank."""
    right = _right(truth, ranked, classes, thresholds, zero_length)  # P T
    present = np.bincount(truth.label, minlength=classes)
    ends = np.searchsorted(ranked.label, np.arange(classes + 1))
    areas = np.zeros((classes, len(thresholds)))
    for label in np.flatnonzero((np.diff(ends) > 0) & (present > 0)):
        hits = np.cumsum(right[ends[label] : ends[label + 1]], axis=0)  # n T
        precision = hits / np.arange(1, len(hits) + 1)[:, None]
        areas[label] = interpolated_area(precision, hits / present[label])
    return areas


def interpolated_area(precision: Floats, recall: Floats) -> Floats:
    """Area under the precision, raised to the maximum of all higher recalls.

    Args:
        precision: (P, ...) after each prediction.
        recall: (P, ...), ascending.

    Returns:
        (...) average precision.
    """
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    average: Floats = (envelope * np.diff(recall, axis=0, prepend=0)).sum(0)
    return average


def _right(
    truth: Segments, ranked: Segments, classes: int, thresholds: Floats, zero_length: str
) -> Booleans:
    """(P, T) whether each prediction takes a true segment; predictions by class and rank.

    Only predictions that reach the lowest threshold with some truth can be right or take
    one away, so that only those are followed.
    """
    right = np.zeros((len(ranked), len(thresholds)), bool)
    pairs = _pairs(truth, ranked, classes)
    if zero_length == "miss":
        pairs = pairs.take(~np.isnan(pairs.iou))
    pairs = pairs.take(~(pairs.iou < thresholds.min())).by_overlap()
    taken = np.zeros((len(truth), len(thresholds)), bool)
    for batch in _waves(pairs, ranked.groups(classes)):
        free = ~(pairs.iou[batch, None] < thresholds) & ~taken[pairs.truth[batch]]
        first = _first_free(free, pairs.predicted[batch])  # rows of batch, or -1: n T
        rows, columns = np.nonzero(first >= 0)
        chosen = batch[first[rows, columns]]
        right[pairs.predicted[chosen], columns] = True
        taken[pairs.truth[chosen], columns] = True
    return right


@dataclass(frozen=True)
class _Pairs:
    """Predictions beside the truths of the same clip and class.

    Args:
        predicted: (N,) rows.
        truth: (N,) rows.
        iou: (N,).
    """

    predicted: Integers
    truth: Integers
    iou: Floats

    def take(self, rows: NDArray[Any]) -> _Pairs:
        return _Pairs(self.predicted[rows], self.truth[rows], self.iou[rows])

    def by_overlap(self) -> _Pairs:
        """By prediction, then best first; NaN before all, the later truth among equals."""
        high = np.where(np.isnan(self.iou), np.inf, self.iou)
        return self.take(np.lexsort((-self.truth, -high, self.predicted)))


def _pairs(
    truth: Segments, predicted: Segments, classes: int, overlap: Callable[..., Any] = iou
) -> _Pairs:
    """All pairs of one clip and class, by prediction."""
    groups = truth.groups(classes)
    order = np.argsort(groups, kind="stable")
    first, last = (
        np.searchsorted(groups[order], predicted.groups(classes), side)
        for side in ("left", "right")
    )
    count = last - first
    rows = np.repeat(np.arange(len(predicted)), count)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    partner = order[np.repeat(first, count) + within]
    return _Pairs(rows, partner, overlap(predicted.segment[rows], truth.segment[partner]))


def _waves(pairs: _Pairs, groups: Integers) -> list[Integers]:
    """Rows of the pairs, wave by wave; the r-th wave has each group's r-th prediction.

    Args:
        pairs: by prediction; predictions are numbered by rank.
        groups: (P,) clip and class of the predictions.
    """
    predictions = np.unique(pairs.predicted)
    group = groups[predictions]
    order = np.argsort(group, kind="stable")
    _, first = np.unique(group[order], return_index=True)
    wave = np.empty(len(order), np.int64)
    counts = np.diff(np.append(first, len(order)))
    wave[order] = np.arange(len(order)) - np.repeat(first, counts)
    of_pair = wave[np.searchsorted(predictions, pairs.predicted)]
    sorted_rows = np.argsort(of_pair, kind="stable")
    cuts = np.flatnonzero(np.diff(of_pair[sorted_rows])) + 1
    return np.split(sorted_rows, cuts) if len(sorted_rows) else []


def _first_free(free: Booleans, predicted: Integers) -> Integers:
    """(n, T) for each prediction its first free pair, as a row; -1 for none."""
    place = np.arange(len(free))[:, None]
    starts = np.flatnonzero(np.diff(predicted, prepend=-1))
    first = np.minimum.reduceat(np.where(free, place, len(free)), starts, axis=0)
    return np.where(first < len(free), first, -1)


# --------------------------------------------------------------------- recall@kx


def recall_at_kx(
    truth: Segments,
    predicted: Segments,
    classes: int,
    *,
    thresholds: Sequence[float] = RECALL_THRESHOLDS,
    top_k: Sequence[int] = TOP_K,
    convention: Convention = "official",
) -> Recall:
    """Fraction of true segments that one of the first k times m predictions hits.

    m is the number of true segments of that clip and class; one prediction may hit several.

    Official behaviour: predictions count in file order, the IoU's union is the hull, a hit
    is strictly above the threshold, and all true segments count alike.

    Args:
        truth: true segments; labels below ``classes``.
        predicted: predictions; those with other labels are left out.
        classes: number of classes.
        thresholds: a hit needs an IoU above this.
        top_k: values of k.
        convention: ``official``, or ``actionformer`` for the evaluator published with
            ActionFormer (arXiv 2202.07925): predictions by descending score (the later
            first among equals), a hit from the threshold on, the mean over classes.
    """
    known = predicted.take((predicted.label >= 0) & (predicted.label < classes))
    if convention == "actionformer":
        known = known.take(np.argsort(known.score, kind="stable")[::-1])
    groups, truth_groups = known.groups(classes), truth.groups(classes)
    rank = _rank(groups)
    alike = np.bincount(truth_groups, minlength=int(groups.max(initial=0)) + 1)
    near = rank < max(top_k, default=0) * alike[groups]
    known, rank = known.take(near), rank[near]
    pairs = _pairs(truth, known, classes, hull_iou)
    needed = rank[pairs.predicted] // alike[truth_groups[pairs.truth]] + 1  # least k
    values = np.zeros((len(thresholds), len(top_k)))
    weights = _weights(truth.label, classes, convention)
    for row, threshold in enumerate(thresholds):
        hit = pairs.iou > threshold if convention == "official" else pairs.iou >= threshold
        least = np.full(len(truth), np.inf)
        np.minimum.at(least, pairs.truth[hit], needed[hit])
        values[row] = [weights[least <= k].sum() for k in top_k]
    return Recall(values / max(weights.sum(), 1), tuple(thresholds), tuple(top_k))


def _weights(labels: Integers, classes: int, convention: Convention) -> Floats:
    """(N,) what each true segment counts: one, or one for all of its class."""
    if convention == "official":
        return np.ones(len(labels))
    return 1 / np.bincount(labels, minlength=classes)[labels]


def _rank(groups: Integers) -> Integers:
    """(P,) how many earlier entries are of the same group."""
    order = np.argsort(groups, kind="stable")
    _, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(first, counts)
    return rank
