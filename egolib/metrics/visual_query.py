"""Metrics of visual queries with 2D localisation (Ego4D episodic memory, VQ2D).

Legend: Q queries (each has one true track), P predictions, L boxes of all tracks,
F frames that a prediction and its truth share, T thresholds.

Everything is computed on packed arrays, without a loop over queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from egolib.metrics.box_tracks import Overlap, Tracks, overlap, temporal_iou

AP_THRESHOLDS = (0.25, 0.5, 0.75, 0.95)
RECOVERY_THRESHOLDS = (0.5, 0.75, 0.95)
SUCCESS_THRESHOLDS = (0.05, 0.1, 0.2)

AREA_RANGES = {
    "all": (0.0, 1e10),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Box areas in square pixels, lower end included, upper end excluded."""

Ties = Literal["official", "file", "expected"]
Choice = Literal["max_score", "max_stiou"]


# ------------------------------------------------------------- average precision


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision at T thresholds, and how far it depends on the order of ties.

    Attributes:
        values: (T,) average precision in the order of the tie mode.
        fraction: (T,) fraction p of the queries that any prediction hits. It is the
            ceiling with perfect ranking; with equal scores the expectation is near p².
        band: (T, 2) 2.5 and 97.5 % quantiles over random orders of tied predictions;
            both equal to the value where no scores are tied.
    """

    values: np.ndarray
    fraction: np.ndarray
    band: np.ndarray


def average_precision(
    iou: np.ndarray,
    query: np.ndarray,
    scores: np.ndarray,
    n_queries: int,
    *,
    thresholds: Sequence[float] = AP_THRESHOLDS,
    ties: Ties | Sequence[int] = "official",
    orders: int = 100,
    seed: int = 0,
) -> AveragePrecision:
    """Area under the monotone envelope of precision over recall.

    A prediction is right where its IoU reaches the threshold and no better scored
    one has hit the same query.

    Args:
        iou: (P,) IoU of each prediction with the truth of its query.
        query: (P,) index of that query, 0 to n_queries - 1.
        scores: (P,) confidences.
        n_queries: how many queries there are, with or without predictions.
        thresholds: (T,) IoU from which a prediction is right.
        ties: who comes first among equal scores. ``official``: whatever
            ``numpy.argsort`` leaves, reversed; it depends on the NumPy version and
            the processor. ``file``: the earlier prediction. ``expected``: the mean
            over ``orders`` random orders drawn with ``seed``. Or an explicit order,
            best first, of all predictions.
        orders: number of random orders behind ``expected`` and the band.
        seed: of these orders.

    Official behaviour: all published scores are 1.0, so that ``official`` hangs on
    the sorting routine alone.
    """
    hits = np.asarray(iou)[None, :] >= np.asarray(thresholds)[:, None]  # (T, P)
    scores, query = np.asarray(scores, np.float64), np.asarray(query, np.int64)
    fraction = np.array([len(np.unique(query[row])) for row in hits]) / max(n_queries, 1)
    samples = [
        _envelope_area(hits, query, order, n_queries)
        for order in _random_orders(scores, orders, seed)
    ]
    if isinstance(ties, str) and ties == "expected" and samples:
        values = np.mean(samples, axis=0)
    else:
        values = _envelope_area(hits, query, score_order(scores, ties), n_queries)
    band = np.quantile(samples, [0.025, 0.975], axis=0).T if samples else np.stack([values] * 2, 1)
    return AveragePrecision(values, fraction, band)


def _random_orders(scores: np.ndarray, orders: int, seed: int) -> np.ndarray:
    """(orders, P) best first, tied predictions at random; none where nothing is tied."""
    distinct, rank = np.unique(-scores, return_inverse=True)
    if len(distinct) == len(scores):
        return np.zeros((0, len(scores)), np.int64)
    draws = np.random.default_rng(seed).random((orders, len(scores)))
    return np.argsort(rank + draws, axis=1)


def score_order(scores: np.ndarray, ties: Ties | Sequence[int] = "official") -> np.ndarray:
    """(P,) indices of predictions, best first; see ``average_precision`` for ``ties``."""
    if not isinstance(ties, str):
        order = np.asarray(ties, np.int64)
        if not np.array_equal(np.sort(order), np.arange(len(scores))):
            raise ValueError(f"the order must hold each of the {len(scores)} predictions once")
        return order
    if ties == "official":
        return np.argsort(scores)[::-1]
    if ties in ("file", "expected"):
        return np.argsort(-np.asarray(scores), kind="stable")
    raise ValueError(f"ties is official, file, expected or an order, not {ties!r}")


def _envelope_area(
    hits: np.ndarray, query: np.ndarray, order: np.ndarray, n_queries: int
) -> np.ndarray:
    """(T,) average precision for hits (T, P) taken in this order."""
    right = _first_hits(hits[:, order], query[order])
    if not right.size:
        return np.zeros(len(hits))
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result: np.ndarray = (envelope * right).sum(axis=1) / max(n_queries, 1)
    return result


def _first_hits(hits: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Keeps in each row only the first hit of a query."""
    if np.bincount(query, minlength=1).max() <= 1:
        return hits
    right = np.zeros_like(hits)
    for row, kept in zip(hits, right, strict=True):
        places = np.flatnonzero(row)
        kept[places[np.unique(query[places], return_index=True)[1]]] = True
    return right


# ------------------------------------------------------------ recovery and success


def choose(value: np.ndarray, query: np.ndarray, n_queries: int) -> np.ndarray:
    """(Q,) index of the prediction with the largest value of each query, the first among
    equals; -1 for a query without prediction.

    Args:
        value: (P,) of each prediction.
        query: (P,) the query that it belongs to.
        n_queries: how many queries there are.
    """
    order = np.lexsort((np.arange(len(value)), -value, query))
    chosen = np.full(n_queries, -1, np.int64)
    queries, first = np.unique(query[order], return_index=True)
    chosen[queries] = order[first]
    return chosen


def recovery(
    shared: Overlap,
    truth: Tracks,
    chosen: np.ndarray,
    thresholds: Sequence[float] = RECOVERY_THRESHOLDS,
) -> np.ndarray:
    """(T,) percentage of all true frames whose box is found with at least that IoU.

    Every frame counts once (micro average); a frame without a predicted box is missed.

    Args:
        shared: what predictions and truths share, frame by frame.
        truth: the true tracks.
        chosen: (Q,) the prediction that stands for each query, -1 for none.
        thresholds: (T,) IoU from which a frame is found.
    """
    counted = np.isin(shared.pair, chosen)
    found = shared.frame_iou[counted][None, :] >= np.asarray(thresholds)[:, None]
    result: np.ndarray = 100.0 * found.sum(axis=1) / max(truth.lengths.sum(), 1)
    return result


def success(
    stiou: np.ndarray, chosen: np.ndarray, thresholds: Sequence[float] = SUCCESS_THRESHOLDS
) -> np.ndarray:
    """(T,) percentage of queries whose chosen prediction reaches that spatio-temporal IoU.

    Args:
        stiou: (P,) of each prediction.
        chosen: (Q,) the prediction that stands for each query, -1 for none.
        thresholds: (T,).
    """
    if not len(chosen):
        return np.zeros(len(thresholds))
    best = np.where(chosen >= 0, np.append(stiou, 0.0)[chosen], 0.0)
    result: np.ndarray = 100.0 * (best[None, :] >= np.asarray(thresholds)[:, None]).mean(axis=1)
    return result


# -------------------------------------------------------------------- all together


@dataclass(frozen=True)
class Scores:
    """All metrics over one set of queries.

    Attributes:
        temporal, spatio_temporal: average precision at 0.25, 0.5, 0.75, 0.95.
        recovery: (3,) percentages at IoU 0.5, 0.75, 0.95.
        success: (3,) percentages at stIoU 0.05, 0.1, 0.2.
        search_efficiency: percentage of frames not looked at, where counts are given.
        ties: the tie mode behind the average precision.
    """

    n_queries: int
    temporal: AveragePrecision
    spatio_temporal: AveragePrecision
    recovery: np.ndarray
    success: np.ndarray
    search_efficiency: float | None
    ties: str

    def table(self) -> dict[str, float]:
        """The reported values by name: the official six, p and tie bands beside the AP."""
        t, s = self.temporal, self.spatio_temporal
        values = {
            "tAP": t.values.mean(),
            "tAP@0.25": t.values[0],
            "stAP": s.values.mean(),
            "stAP@0.25": s.values[0],
            "recovery%": self.recovery[0],
            "success%": self.success[0],
            "p_temporal@0.25": t.fraction[0],
            "p_spatio_temporal@0.25": s.fraction[0],
            "tAP@0.25_low": t.band[0, 0],
            "tAP@0.25_high": t.band[0, 1],
            "stAP@0.25_low": s.band[0, 0],
            "stAP@0.25_high": s.band[0, 1],
        }
        if self.search_efficiency is not None:
            values["search_efficiency%"] = self.search_efficiency
        return {name: float(value) for name, value in values.items()}


@dataclass(frozen=True)
class Queries:
    """Truths and predictions of Q queries.

    Attributes:
        truth: Q tracks.
        predicted: P tracks.
        query: (P,) the query of each prediction, non-decreasing.
        scores: (P,) confidences.
        crop_areas: (Q,) areas of the visual crops in square pixels; only pairings need them.
        accessed, total: (Q,) frames looked at and frames before the query, if counted.
    """

    truth: Tracks
    predicted: Tracks
    query: np.ndarray
    scores: np.ndarray
    crop_areas: np.ndarray | None = None
    accessed: np.ndarray | None = None
    total: np.ndarray | None = None

    def restrict(self, kept: np.ndarray) -> Queries:
        """Only the queries where ``kept`` (Q,) is true, with their predictions."""
        new_index = np.cumsum(kept) - 1
        rows = np.flatnonzero(kept[self.query])
        per_query = {
            name: None if value is None else value[kept]
            for name in ("crop_areas", "accessed", "total")
            for value in [getattr(self, name)]
        }
        return Queries(
            self.truth.take(np.flatnonzero(kept)),
            self.predicted.take(rows),
            new_index[self.query[rows]],
            self.scores[rows],
            **per_query,
        )

    def pairing(self, crop_range: str, response_range: str) -> Queries:
        """Queries whose crop area and largest response area lie in these ``AREA_RANGES``."""
        if self.crop_areas is None:
            raise ValueError("pairings by area need crop_areas")
        largest = np.zeros(len(self.truth))
        np.maximum.at(largest, self.truth.track_of_box, self.truth.areas())
        kept = np.ones(len(self.truth), bool)
        for area, name in ((self.crop_areas, crop_range), (largest, response_range)):
            low, high = AREA_RANGES[name]
            kept &= (area >= low) & (area < high)
        return self.restrict(kept)


def evaluate(
    queries: Queries,
    *,
    ties: Ties | Sequence[int] = "official",
    several: Choice = "max_score",
    orders: int = 100,
    seed: int = 0,
) -> Scores:
    """All metrics of VQ2D.

    Args:
        queries: truths and predictions.
        ties: see ``average_precision``.
        several: which of several predictions of one query counts for recovery and
            success: the best scored one or the one with the best stIoU.
        orders: see ``average_precision``.
        seed: see ``average_precision``.
    """
    n_queries = len(queries.truth)
    paired = queries.truth.take(queries.query)
    shared = overlap(queries.predicted, paired)
    precision = [
        average_precision(
            iou, queries.query, queries.scores, n_queries, ties=ties, orders=orders, seed=seed
        )
        for iou in (temporal_iou(queries.predicted, paired), shared.stiou)
    ]
    value = queries.scores if several == "max_score" else shared.stiou
    chosen = choose(value, queries.query, n_queries)
    efficiency = None
    if queries.accessed is not None and queries.total is not None:
        efficiency = float(100.0 * np.mean(1.0 - queries.accessed / queries.total))
    return Scores(
        n_queries,
        precision[0],
        precision[1],
        recovery(shared, queries.truth, chosen),
        success(shared.stiou, chosen),
        efficiency,
        ties if isinstance(ties, str) else "explicit",
    )


def evaluate_pairings(
    queries: Queries, pairings: Mapping[str, tuple[str, str]], **options: Any
) -> dict[str, Scores]:
    """``evaluate`` on each subset by area; a pairing without members is left out.

    Args:
        queries: truths and predictions.
        pairings: name -> (range of the crop area, range of the largest response area).
        options: passed on to ``evaluate``.
    """
    subsets = {name: queries.pairing(*pair) for name, pair in pairings.items()}
    return {name: evaluate(q, **options) for name, q in subsets.items() if len(q.truth)}
