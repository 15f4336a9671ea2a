"""Segments: overlap, suppression, voting."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.ops.segments import (
    Suppression,
    hard_nms,
    hull_iou,
    intersection,
    iou,
    soft_nms,
    suppress,
    vote,
)

EMPTY = np.zeros((0, 2), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("a", "b", "common", "union", "hull"),
    [
        ((0, 0), (0, 0), 0, np.nan, np.nan),
        ((0, 2), (0, 2), 2, 1, 1),
        ((0, 2), (1, 3), 1, 1 / 3, 1 / 3),
        ((0, 1), (1, 2), 0, 0, 0),
        ((0, 1), (2, 3), 0, 0, 0),
        ((1, 1), (0, 2), 0, 0, 0),
        ((3, 1), (0, 4), 0, 0, 0),
    ],
)
def test_overlaps(a, b, common, union, hull):
    a, b = np.array(a, float), np.array(b, float)
    assert intersection(a, b) == common
    np.testing.assert_allclose(iou(a, b), union)
    np.testing.assert_allclose(hull_iou(a, b), hull)


def test_overlaps_of_nothing():
    assert iou(EMPTY[0][:, None], EMPTY[0][None]).shape == (0, 0)


def one_by_one(segments, scores, sigma, min_score):
    """Soft suppression as the published operator works: one entry after the other."""
    one = np.float32(1e-6)
    entries = [
        [np.float32(s), np.float32(e), np.float32(e) - np.float32(s) + one, np.float32(c), i]
        for i, ((s, e), c) in enumerate(zip(segments, scores, strict=False))
    ]
    i, count = 0, len(entries)
    while i < count:
        best = max(range(i, count), key=lambda j: (entries[j][3], -j))
        entries[i], entries[best] = entries[best], entries[i]
        start, end, area = entries[i][:3]
        j = i + 1
        while j < count:
            common = max(np.float32(0), min(end, entries[j][1]) - max(start, entries[j][0]))
            overlap = common / (area + entries[j][2] - common)
            entries[j][3] *= np.exp(-(overlap * overlap) / np.float32(sigma))
            if entries[j][3] < min_score:
                entries[j] = entries[count - 1]
                count -= 1
            else:
                j += 1
        i += 1
    return [entry[4] for entry in entries[:count]], [entry[3] for entry in entries[:count]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("steps", [0, 8])
def test_soft_nms_equals_one_by_one(seed, steps):
    rng = np.random.default_rng(seed)
    start, length = rng.uniform(0, 40, 120), rng.exponential(6, 120)
    scores = rng.uniform(0.01, 1, 120)
    if steps:  # many exact ties
        start, length, scores = (np.ceil(x * steps) / steps for x in (start, length, scores))
    segments = np.stack([start, start + length], 1).astype(np.float32)
    index, decayed = soft_nms(segments, scores, sigma=0.5, min_score=0.05)
    expected, expected_scores = one_by_one(segments, scores, 0.5, 0.05)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(decayed, expected_scores, rtol=1e-5)
    assert (np.diff(decayed) <= 0).all()


def test_soft_nms_of_nothing():
    index, scores = soft_nms(*EMPTY[:2])
    assert index.shape == scores.shape == (0,)


def test_first_pick_ignores_the_lowest_score():
    index, scores = soft_nms(np.array([[0, 1], [5, 6]]), np.array([0.1, 0.2]), min_score=0.5)
    assert index.tolist() == [1]
    np.testing.assert_allclose(scores, [0.2])


def test_inputs_stay_as_they_are():
    segments, scores = np.array([[0.0, 2], [0, 3], [1, 2]]), np.array([0.3, 0.9, 0.5])
    before = segments.copy(), scores.copy()
    soft_nms(segments, scores)
    np.testing.assert_array_equal(segments, before[0])
    np.testing.assert_array_equal(scores, before[1])


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.9, 0.8, 0.7], 0.5, [0, 2]),
        ([0.9, 0.8, 0.7], 0.9, [0, 1, 2]),
        ([0.7, 0.8, 0.7], 0.5, [1, 2]),
        ([0.7, 0.7, 0.7], 0.5, [0, 2]),  # ties in input order
        ([0.0, 0.0, 0.0], 0.5, []),
    ],
)
def test_hard_nms(scores, threshold, expected):
    segments = np.array([[0, 10], [1, 11], [20, 30]], float)
    assert hard_nms(segments, np.array(scores), iou_threshold=threshold).tolist() == expected


def test_vote_is_a_weighted_mean():
    segments = np.array([[0, 10], [0, 8], [50, 60]], float)
    scores = np.array([0.5, 0.25, 1])
    found = vote(segments[:1], segments, scores, 0.7)
    weights = np.array([0.5 * 1, 0.25 * 0.8])
    expected = (weights[:, None] * segments[:2]).sum(0) / weights.sum()
    np.testing.assert_allclose(found[0], expected)


def test_vote_of_a_zero_length_segment_is_nan():
    assert np.isnan(vote(np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]]), np.ones(1), 0.5)).all()


@pytest.mark.parametrize("method", ["soft", "hard", "none"])
def test_suppress_of_nothing(method):
    segments, scores, labels = suppress(*EMPTY, Suppression(method=method))
    assert segments.shape == (0, 2) and scores.shape == labels.shape == (0,)


def test_suppress_works_on_each_class():
    segments = np.array([[0, 10], [0, 10]], float)
    scores, labels = np.array([0.5, 0.9]), np.array([0, 1])
    _, kept, classes = suppress(segments, scores, labels, Suppression())
    np.testing.assert_allclose(kept, [0.9, 0.5])
    assert classes.tolist() == [1, 0]
    agnostic = Suppression(per_class=False, voting_threshold=0)
    assert suppress(segments, scores, labels, agnostic)[1][1] < 0.5


@pytest.mark.parametrize("settings", [Suppression(max_segments=0), Suppression(method="fast")])
def test_suppress_refuses_settings_without_sense(settings):
    with pytest.raises(EgolibError):
        suppress(*EMPTY, settings)
