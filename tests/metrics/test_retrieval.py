from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egolib.metrics.retrieval import (
    average_precision,
    charades_metrics,
    clips_by_sentences,
    descending_order,
    first_occurrences,
    multi_label_precision,
    ndcg,
    rank_queries,
    retrieval_metrics,
)


def literal(similarity: np.ndarray, relevancy: np.ndarray, binary: bool) -> tuple[list, list]:
    """Both metrics, query by query and rank by rank, with the official order of ties."""
    gains, precisions = [], []
    for s, r in zip(similarity.tolist(), relevancy.tolist(), strict=False):
        k = sum(x > 0 for x in r)
        last_first = sorted(range(len(s)), key=lambda j: (-s[j], -j))
        dcg = sum(r[j] / np.log2(i + 2) for i, j in enumerate(last_first[:k]))
        ideal = sum(x / np.log2(i + 2) for i, x in enumerate(sorted(r, reverse=True)[:k]))
        gains.append(dcg / ideal if ideal else np.nan)
        first_first = sorted(range(len(s)), key=lambda j: (-s[j], j))
        total, found = 0.0, []
        for i, j in enumerate(first_first):
            total += (r[j] == 1) if binary else r[j]
            if r[j] == 1:
                found.append(total / (i + 1))
        precisions.append(np.mean(found) if found else np.nan)
    return gains, precisions


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_against_literal_formulas(seed: int, dtype: type, binary: bool) -> None:
    """Random matrices with many ties, and rows without any relevant item."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 9)), int(rng.integers(1, 12)))
    similarity = (rng.integers(-3, 4, shape) / 4).astype(dtype)
    relevancy = rng.choice([0.0, 0.25, 0.5, 1.0], shape)
    found = rank_queries(similarity, relevancy, "binary" if binary else "official")
    for ours, theirs in zip(found, literal(similarity, relevancy, binary), strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(
    "scores, ties, expected, tied",
    [
        (np.zeros((0, 3)), "first", np.zeros((0, 3)), []),
        ([[1, 3, 2]], "first", [[1, 2, 0]], [False]),
        ([[2, 2, 3]], "first", [[2, 0, 1]], [True]),
        ([[2, 2, 3]], "last", [[2, 1, 0]], [True]),
        ([[0.0, -0.0, -1]], "first", [[0, 1, 2]], [True]),  # both zeros are equal
        ([[-1e-30, 1e-30, np.inf, -np.inf]], "first", [[2, 1, 0, 3]], [False]),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_descending_order(scores, ties, expected, tied, dtype) -> None:
    order, found = descending_order(np.array(scores, dtype), ties)
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(found, tied)


def test_graded_precision_counts_partly_relevant_items() -> None:
    similarity = np.array([[3.0, 2.0, 1.0]])
    relevancy = np.array([[0.5, 1.0, 1.0]])
    official = average_precision(similarity, relevancy)
    binary = average_precision(similarity, relevancy, "binary")
    np.testing.assert_allclose(official, (1.5 / 2 + 2.5 / 3) / 2)
    np.testing.assert_allclose(binary, (1 / 2 + 2 / 3) / 2)


def test_a_perfect_ranking() -> None:
    relevancy = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 1.0]])
    metrics = retrieval_metrics(relevancy, relevancy, "binary")
    assert all(value == pytest.approx(100) for value in metrics.values())


def test_a_query_without_relevant_item_is_nan() -> None:
    gains, precisions = rank_queries(np.ones((1, 2)), np.zeros((1, 2)))
    assert np.isnan(gains).all() and np.isnan(precisions).all()


def test_ndcg_looks_at_as_many_ranks_as_there_are_relevant_items() -> None:
    relevancy = np.array([[1.0, 0.0, 0.0]])
    assert ndcg(np.array([[1.0, 2.0, 0.0]]), relevancy)[0] == 0
    assert ndcg(np.array([[3.0, 2.0, 0.0]]), relevancy)[0] == 1


def test_directions_may_have_their_own_similarities() -> None:
    relevancy = np.eye(3)
    metrics = retrieval_metrics(np.eye(3), relevancy, by_text=1 - np.eye(3))
    assert metrics["mAP_V2T"] == 100 and metrics["mAP_T2V"] < 50


def test_repeated_samples_are_dropped() -> None:
    index = np.array([2, 0, 1, 0])
    np.testing.assert_array_equal(first_occurrences(index), [1, 2, 0])
    cosines = np.arange(16).reshape(4, 4) / 8 - 1
    matrix = clips_by_sentences(cosines, index, np.array([2, 0]))
    # sentence 0 belongs to clip 2, which the loader gave first; clips are in their order
    np.testing.assert_allclose(matrix[:, 0], (cosines[0, [1, 2, 0]] + 1) / 2)
    np.testing.assert_allclose(matrix[:, 1], (cosines[1, [1, 2, 0]] + 1) / 2)


def test_multi_label_precision() -> None:
    scores = np.array([[0.9, 0.1, 0.5], [0.8, 0.7, 0.5], [5.0, 5.0, 5.0]])
    targets = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    # the sample without labels ranks behind all others, whatever its scores
    found = multi_label_precision(scores, targets)
    np.testing.assert_allclose(found, [0.5, 0.5, np.nan])
    assert charades_metrics(scores, targets)["mAP"] == 0.5
    assert charades_metrics(scores, targets, "zero")["mAP"] == pytest.approx(1 / 3)
