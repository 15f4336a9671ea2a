"""Detection mAP and recall@kx: tables, quirks, and equality with plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.moment_detection import (
    Segments,
    average_precision,
    interpolated_area,
    recall_at_kx,
)
from tests.oracles import moment_detection as loops

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def segments(rows, scored=True):
    """From rows (clip, label, start, end[, score])."""
    table = np.array(rows, float).reshape(-1, 5 if scored else 4)
    clip, label = table[:, :2].T.astype(int)
    return Segments(clip, label, table[:, 2:4], table[:, 4] if scored else np.zeros(0))


def truths(rows):
    return segments(rows, scored=False)


def test_nothing_predicted():
    truth = truths([(0, 0, 1, 2), (0, 1, 3, 4)])
    found = average_precision(truth, segments([]), 2)
    assert found.values.shape == (2, 5)
    assert found.mean == 0
    assert recall_at_kx(truth, segments([]), 2).values.sum() == 0


def test_nothing_true():
    found = average_precision(truths([]), segments([(0, 0, 1, 2, 0.5)]), 0)
    assert found.mean == 0
    assert recall_at_kx(truths([]), segments([]), 0).values.sum() == 0


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([(0, 0, 0, 10, 0.9)], 1.0),
        ([(0, 0, 0, 5, 0.9)], 1.0),  # exactly 0.5 is a hit
        ([(0, 0, 0, 4.9, 0.9)], 0.0),
        ([(1, 0, 0, 10, 0.9)], 0.0),  # another clip
        ([(0, 1, 0, 10, 0.9)], 0.0),  # another class
        ([(0, 0, 0, 10, 0.9), (0, 0, 0, 10, 0.8)], 1.0),  # the second finds it taken
        ([(0, 0, 20, 30, 0.9), (0, 0, 0, 10, 0.8)], 0.5),
        ([(0, 0, 20, 30, 0.8), (0, 0, 0, 10, 0.8)], 1.0),  # among equals the later first
        ([(0, 0, 0, 10, 0.8), (0, 0, 20, 30, 0.8)], 0.5),
        ([(0, 7, 0, 10, 0.9)], 0.0),  # a class that the truth does not have
    ],
)
def test_average_precision_at_half(predicted, expected):
    truth = truths([(0, 0, 0, 10), (0, 1, 100, 110)])
    found = average_precision(truth, segments(predicted), 2, thresholds=(0.5,))
    assert found.values[0, 0] == pytest.approx(expected)


def test_a_prediction_falls_back_on_the_next_best_moment():
    truth = truths([(0, 0, 0, 10), (0, 0, 2, 12)])
    both = segments([(0, 0, 0, 10, 0.9), (0, 0, 0, 10, 0.8)])
    assert average_precision(truth, both, 1, thresholds=(0.5,)).mean == 1
    assert average_precision(truth, both, 1, thresholds=(0.9,)).mean == 0.5


def test_order_of_equal_scores():
    truth = truths([(0, 0, 0, 10)])
    tied = segments([(0, 0, 0, 10, 0.5), (0, 0, 20, 30, 0.5)])
    values = {
        ties: average_precision(truth, tied, 1, ties=ties, orders=400).mean
        for ties in ("official", "file", "expected")
    }
    assert values["official"] == 0.5
    assert values["file"] == 1
    assert values["expected"] == pytest.approx(0.75, abs=0.05)


def test_zero_lengths_hit_each_other_wherever_they_are():
    truth = truths([(0, 0, 50, 50)])
    far = segments([(0, 0, 3, 3, 0.5)])
    assert average_precision(truth, far, 1).mean == 1
    assert average_precision(truth, far, 1, zero_length="miss").mean == 0
    assert recall_at_kx(truth, segments([(0, 0, 50, 50, 0.5)]), 1).values.sum() == 0


def test_recall_counts_k_times_the_moments_in_file_order():
    truth = truths([(0, 0, 0, 10), (0, 0, 20, 30), (0, 1, 0, 10)])
    rows = [(0, 0, 90, 91, 0.9), (0, 0, 0, 10, 0.1), (0, 0, 20, 30, 0.99), (0, 1, 0, 10, 0.5)]
    found = recall_at_kx(truth, segments(rows), 2)
    assert found.at(1, 0.5) == pytest.approx(2 / 3)  # two of class 0 are looked at
    assert found.at(2, 0.5) == 1


def test_recall_is_strict_and_by_the_hull():
    truth = truths([(0, 0, 0, 10)])
    assert recall_at_kx(truth, segments([(0, 0, 0, 5, 0.5)]), 1).at(1, 0.5) == 0
    assert recall_at_kx(truth, segments([(0, 0, 0, 5.01, 0.5)]), 1).at(1, 0.5) == 1


def test_recall_of_the_public_evaluator():
    truth = truths([(0, 0, 0, 10), (0, 0, 20, 30), (1, 1, 0, 10)])
    rows = [(0, 0, 90, 91, 0.1), (0, 0, 80, 81, 0.2), (0, 0, 0, 5, 0.9), (1, 1, 50, 51, 0.1)]
    found = recall_at_kx(truth, segments(rows), 2, convention="actionformer")
    assert found.at(1, 0.5) == pytest.approx((1 / 2 + 0) / 2)  # best scores, classes alike
    assert recall_at_kx(truth, segments(rows), 2).at(1, 0.3) == 0


def test_interpolated_area():
    precision = np.array([1.0, 0.5, 2 / 3])
    recall = np.array([0.5, 0.5, 1.0])
    assert interpolated_area(precision, recall) == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_plain_loops(seed):
    rng = np.random.default_rng(seed)
    clips, classes = 5, 3
    truth = truths([random_row(rng, clips, classes) for _ in range(40)])
    rows = [(*random_row(rng, clips, classes), rng.random()) for _ in range(300)]
    predicted = segments(rows)
    known, answers = as_dicts(truth, predicted, clips)
    order = list(dict.fromkeys(truth.label.tolist()))
    expected = loops.average_precision(known, answers, THRESHOLDS)
    found = average_precision(truth, predicted, classes)
    for label in order:
        np.testing.assert_allclose(found.values[label], expected[str(label)], rtol=0, atol=1e-12)
    table = loops.recall_at_kx(known, answers, (0.3, 0.5, 0.7), (1, 2, 3, 4, 5))
    np.testing.assert_allclose(recall_at_kx(truth, predicted, classes).values, table, atol=1e-12)


def random_row(rng, clips, classes):
    start = np.round(rng.uniform(0, 50), 0)
    return rng.integers(clips), rng.integers(classes), start, start + np.round(rng.exponential(8))


def as_dicts(truth, predicted, clips):
    known = {
        str(clip): [
            (str(label), *times)
            for owner, label, times in zip(
                truth.clip, truth.label, truth.segment.tolist(), strict=False
            )
            if owner == clip
        ]
        for clip in range(clips)
    }
    answers = {
        str(clip): [
            {"label": str(label), "score": score, "segment": times}
            for owner, label, times, score in zip(
                predicted.clip,
                predicted.label,
                predicted.segment.tolist(),
                predicted.score,
                strict=False,
            )
            if owner == clip
        ]
        for clip in range(clips)
    }
    return known, answers
