"""Retrieval with graded relevancy (EPIC-KITCHENS-100) and multi-label precision (Charades).

Legend: Q queries, M items; ``similarity`` and ``relevancy`` are (Q, M).

Multi-instance retrieval after Damen et al. (arXiv 2006.13256, section 4.6): relevancy
is a number between 0 and 1, and 1 for items that match exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

#: ``official`` counts graded relevancies in the precision, which is never lower than
#: ``binary``: exact matches only, the standard average precision.
Precision = Literal["official", "binary"]

_BLOCK = 1 << 20  # entries that are worked on at once


def retrieval_metrics(
    similarity: np.ndarray,
    relevancy: np.ndarray,
    precision: Precision = "official",
    by_text: np.ndarray | None = None,
    empty_queries: Literal["official", "skip"] = "official",
) -> dict[str, float]:
    """nDCG and mAP in per cent, of both directions and their average.

    Args:
        similarity: (clips, sentences) float.
        relevancy: (clips, sentences) float in [0, 1].
        precision: see ``Precision``; the published numbers are ``official``.
        by_text: (clips, sentences) similarities for ranking clips by sentence, where
            they are others (after re-ranking).
        empty_queries: a query without (exactly) relevant item has no nDCG (precision);
            ``official`` makes the mean NaN, ``skip`` leaves it out.

    Returns:
        ``nDCG_V2T, nDCG_T2V, nDCG_AVG, mAP_V2T, mAP_T2V, mAP_AVG``.
    """
    by_text = similarity if by_text is None else by_text
    directions = {
        "V2T": rank_queries(similarity, relevancy, precision),
        "T2V": rank_queries(by_text.T, relevancy.T, precision),
    }
    mean = np.mean if empty_queries == "official" else np.nanmean
    result: dict[str, float] = {}
    for place, metric in enumerate(("nDCG", "mAP")):
        values = {name: 100.0 * float(mean(d[place])) for name, d in directions.items()}
        result |= {f"{metric}_{name}": value for name, value in values.items()}
        result[f"{metric}_AVG"] = (values["V2T"] + values["T2V"]) / 2
    return result


def rank_queries(
    similarity: np.ndarray, relevancy: np.ndarray, precision: Precision = "official"
) -> tuple[np.ndarray, np.ndarray]:
    """nDCG (Q,) and average precision (Q,) of every query, from one sort.

    Queries without relevant item give NaN. Items of equal similarity are ranked as
    the official code does: for nDCG the later item first, for precision the earlier.

    Args:
        similarity: (Q, N), a row a query.
        relevancy: (Q, N) in 0..1.
        precision: see ``Precision``.
    """
    blocks = []
    for similar, relevant in _blocks(similarity, relevancy):
        order, tied = descending_order(similar)
        ranked = np.take_along_axis(relevant, order, 1)
        average = _average_precision(ranked, precision)
        if tied.any():
            order, _ = descending_order(similar[tied], ties="last")
            ranked[tied] = np.take_along_axis(relevant[tied], order, 1)
        blocks.append((_ndcg(ranked, relevant), average))
    if not blocks:
        return np.zeros(0), np.zeros(0)
    gains, averages = zip(*blocks, strict=True)
    return np.concatenate(gains), np.concatenate(averages)


def ndcg(similarity: np.ndarray, relevancy: np.ndarray) -> np.ndarray:
    """Normalised discounted cumulative gain (Q,) over the first k ranks.

    k is the number of items with any relevancy for the query.
    """
    return rank_queries(similarity, relevancy)[0]


def average_precision(
    similarity: np.ndarray, relevancy: np.ndarray, precision: Precision = "official"
) -> np.ndarray:
    """Average precision (Q,) over the ranks of the items with relevancy 1.

    Official behaviour: the precision at a rank is the *sum of graded relevancies* up
    to it over the rank, so that partly relevant items count too.

    Args:
        similarity: (Q, N), a row a query.
        relevancy: (Q, N) in 0..1.
        precision: see ``Precision``.
    """
    return rank_queries(similarity, relevancy, precision)[1]


def descending_order(
    scores: np.ndarray, ties: Literal["first", "last"] = "first"
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (Q, M) of each row's items from the highest score, and (Q,) whether scores tie.

    Args:
        scores: (Q, M). 32-bit floats, which tie often, are sorted as integers that
            carry their index: as fast as an unstable sort.
        ties: which of equally scored items comes first, by index.
    """
    if scores.dtype != np.float32:
        return _order_by_index_sort(scores, ties)
    bits = (np.float32(0) - scores).view(np.int32)  # 0 - x has one zero only
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    columns = np.arange(scores.shape[1], dtype=np.int64)
    keys = (rising << 32) | (columns if ties == "first" else columns[::-1])
    keys.sort(1)
    order = keys & 0xFFFFFFFF
    keys >>= 32
    tied = (keys[:, 1:] == keys[:, :-1]).any(1)
    return (order if ties == "first" else len(columns) - 1 - order), tied


def _order_by_index_sort(scores: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
    if ties == "first":
        order = np.argsort(-scores, 1, kind="stable")
    else:
        order = np.argsort(scores, 1, kind="stable")[:, ::-1]
    ranked = np.take_along_axis(scores, order, 1)
    return order, (ranked[:, 1:] == ranked[:, :-1]).any(1)


def _blocks(*matrices: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Some rows of each matrix at a time, contiguous."""
    rows = max(1, _BLOCK // max(1, matrices[0].shape[1]))
    for start in range(0, len(matrices[0]), rows):
        yield tuple(np.ascontiguousarray(m[start : start + rows]) for m in matrices)


def _ndcg(ranked: np.ndarray, relevancy: np.ndarray) -> np.ndarray:
    """(Q,) from relevancies in rank order and in any order."""
    counts = (relevancy > 0).sum(1)
    longest = int(counts.max(initial=0))
    ideal = -np.sort(-relevancy, 1)[:, :longest]
    weights = (np.arange(longest) < counts[:, None]) / np.log2(np.arange(longest) + 2)
    with np.errstate(invalid="ignore"):
        result: np.ndarray = (ranked[:, :longest] * weights).sum(1) / (ideal * weights).sum(1)
        return result


def _average_precision(ranked: np.ndarray, precision: Precision) -> np.ndarray:
    """(Q,) from relevancies in rank order."""
    exact = ranked == 1
    gains = np.cumsum(ranked if precision == "official" else exact, 1, dtype=np.float64)
    rows, ranks = np.nonzero(exact)
    sums = np.bincount(rows, gains[rows, ranks] / (ranks + 1), len(ranked))
    with np.errstate(invalid="ignore"):
        result: np.ndarray = sums / exact.sum(1)
        return result


# ------------------------------------------------------------- from loader to matrix


def first_occurrences(index: np.ndarray) -> np.ndarray:
    """Positions of the first occurrence of every value, in ascending order of the values.

    Samplers that pad by repetition give some samples twice; this drops the repeats
    and puts the samples into the order of their numbers.
    """
    return np.unique(index, return_index=True)[1]


def clips_by_sentences(
    similarity: np.ndarray, loader_index: np.ndarray, sentence_rows: np.ndarray
) -> np.ndarray:
    """(clips, sentences) similarities between 0 and 1 from those of all caption pairs.

    Args:
        similarity: (N, N) cosines of the captions (rows) and clips (columns) of all
            samples, in the order in which a loader gave them.
        loader_index: (N,) number of each sample; repeats are dropped.
        sentence_rows: (sentences,) the clip that each sentence is the caption of.
    """
    order = first_occurrences(loader_index)
    captions = order[sentence_rows]
    result: np.ndarray = (similarity[captions][:, order].T + 1) / 2
    return result


# ------------------------------------------------------------------------ Charades


def multi_label_precision(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Average precision of each class over all samples; NaN for classes without positives.

    Samples without any label count as ranked behind all others.

    Args:
        scores: (N, classes) float.
        targets: (N, classes) 0 or 1.

    Returns:
        (classes,) in [0, 1].
    """
    scores = np.where(targets.any(1, keepdims=True), scores, -np.inf)
    order = np.argsort(-scores, 0, kind="stable")
    hits = np.take_along_axis(targets, order, 0).astype(bool)
    precision = np.cumsum(hits, 0) / np.arange(1, len(hits) + 1)[:, None]
    with np.errstate(invalid="ignore"):
        result: np.ndarray = np.where(hits, precision, 0).sum(0) / hits.sum(0)
        return result


def charades_metrics(
    scores: np.ndarray, targets: np.ndarray, empty_classes: Literal["official", "zero"] = "official"
) -> dict[str, float]:
    """Mean and frequency-weighted mean average precision, as fractions.

    Official behaviour: classes without positives are left out of the mean. ``zero``
    counts them as 0.

    Args:
        scores: (V, C), a row a video.
        targets: (V, C), 1 where the class occurs.
        empty_classes: ``official`` leaves classes without positives out, ``zero`` counts them as
            0.
    """
    classes = multi_label_precision(scores, targets)
    fraction = targets.sum(0) / targets.sum()
    mean = np.nanmean(classes) if empty_classes == "official" else np.nan_to_num(classes).mean()
    return {"mAP": float(mean), "weighted_mAP": float(np.nansum(classes * fraction))}
