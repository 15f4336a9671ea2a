"""Suppression: equal to plain loops, and the quirks."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.mq.localization import suppression
from egolib.mq.localization.suppression import nms_by_class, soft_nms, soft_nms_per_class
from tests.oracles import moment_detection as loops


def invented(count, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 60, count)
    segments = np.stack([start, start + rng.exponential(8, count)], 1)
    return segments, rng.random(count), rng.integers(1, classes + 1, count)


def nothing():
    return np.zeros((0, 2)), np.zeros(0), np.zeros(0, int)


@pytest.mark.parametrize("seed", range(3))
def test_hard_suppression_by_loops(seed):
    segments, _, _ = invented(80, seed)
    scores = np.random.default_rng(seed).random((4, 80))
    candidates = scores > 0.2
    for label, kept in enumerate(nms_by_class(segments, scores, candidates, 0.4)):
        rows = np.flatnonzero(candidates[label])
        expected = rows[loops.hard_nms(segments[rows], scores[label, rows], 0.4)]
        assert kept.tolist() == expected.tolist()


def test_hard_suppression_of_nothing():
    (kept,) = nms_by_class(np.zeros((0, 2)), np.zeros((1, 0)), np.zeros((1, 0), bool), 0.4)
    assert kept.tolist() == []


def test_of_boxes_without_length_one_survives():
    segments = np.array([[5.0, 5], [5, 5], [9, 9], [0, 10]])
    (kept,) = nms_by_class(segments, np.array([[0.5, 0.4, 0.3, 0.2]]), np.ones((1, 4), bool), 0.4)
    assert kept.tolist() == [0, 3]  # 0/0 is no overlap that may stay, wherever the boxes are


def test_among_equal_scores_the_later_comes_first():
    segments = np.array([[0.0, 10], [1, 11], [50, 60]])
    (kept,) = nms_by_class(segments, np.full((1, 3), 0.5), np.ones((1, 3), bool), 0.4)
    assert kept.tolist() == [2, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limit", [5, 200])
def test_soft_suppression_by_loops(seed, limit, monkeypatch):
    monkeypatch.setattr(suppression, "PREVIEW", 2)  # looks at more only where it must
    segments, scores, labels = invented(90, seed)
    labels[::7] = 0
    picks, kept = soft_nms(segments, scores, labels, sigma=0.46, limit=limit)
    expected = loops.soft_nms(segments, scores, labels, 0.46, limit)
    assert picks.tolist() == [pick for pick, _ in expected]
    np.testing.assert_allclose(kept, [score for _, score in expected], rtol=1e-12)


def test_the_last_candidate_is_not_picked():
    one = (np.array([[0.0, 1]]), np.array([0.5]), np.array([1]))
    assert len(soft_nms(*one)[0]) == 0
    assert soft_nms(*one, last_candidate="keep")[0].tolist() == [0]
    assert len(soft_nms(*nothing())[0]) == 0
    assert len(soft_nms_per_class(*nothing())[0]) == 0


def test_classes_decay_one_another_unless_told_otherwise():
    segments = np.array([[0.0, 10], [0, 10], [50, 60], [70, 80]])
    scores, labels = np.array([0.9, 0.8, 0.1, 0.05]), np.array([1, 2, 1, 2])
    _, together = soft_nms(segments, scores, labels)
    picks, apart = soft_nms_per_class(segments, scores, labels, last_candidate="keep")
    assert together[1] == pytest.approx(0.1)
    assert picks.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(apart, scores)
    assert soft_nms_per_class(segments, scores, labels, limit=2, last_candidate="keep")[
        0
    ].tolist() == [0, 1]
