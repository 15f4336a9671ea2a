from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.summarization import (
    Match,
    match_summaries,
    mean_match,
    summary_table,
    tag_similarity,
)

TAGS = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]], np.uint8)


def test_similarity() -> None:
    found = tag_similarity(TAGS, TAGS)
    assert found[0].tolist() == [1.0, 0.5, 0.0, 0.0, pytest.approx(2 / 3)]
    assert found[3, 3] == 0.0 and tag_similarity(TAGS, TAGS, "equal")[3, 3] == 1.0
    assert tag_similarity(TAGS[:0], TAGS).shape == (0, 5)


@pytest.mark.parametrize(
    "predicted, reference, expected",
    [
        ([0, 1], [0, 1], (1.0, 1.0, 1.0)),
        ([0], [0, 1], (1.0, 0.5, 2 / 3)),
        ([1, 2], [0], (0.25, 0.5, 1 / 3)),
        ([0, 0], [0], (0.5, 1.0, 2 / 3)),
        ([-1], [4], (1.0, 1.0, 1.0)),
        ([3, 0], [3, 0], (0.5, 0.5, 0.5)),
    ],
)
def test_matching(predicted: list[int], reference: list[int], expected: tuple) -> None:
    found = match_summaries(predicted, reference, TAGS)
    assert (found.precision, found.recall, found.f1) == pytest.approx(expected)


def test_the_matching_is_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        tags = (rng.random((8, 4)) < 0.4).astype(np.uint8)
        predicted, reference = rng.choice(8, 4, replace=False), rng.choice(8, 5, replace=False)
        weights = tag_similarity(tags[predicted], tags[reference])
        best = max(sum(weights[i, p[i]] for i in range(4)) for p in permutations(range(5), 4))
        found = match_summaries(predicted.tolist(), reference.tolist(), tags, zero_f1="zero")
        assert found.precision == pytest.approx(best / 4)


def test_nothing_matches() -> None:
    assert np.isnan(match_summaries([2], [1], TAGS).f1)
    assert match_summaries([2], [1], TAGS, zero_f1="zero") == Match(0.0, 0.0, 0.0)


@pytest.mark.parametrize("predicted, reference", [([], [1]), ([1], [])])
def test_empty_summaries(predicted: list[int], reference: list[int]) -> None:
    with pytest.raises(EgolibError, match="empty summary"):
        match_summaries(predicted, reference, TAGS)


@pytest.mark.parametrize("shot", [5, -6])
def test_shots_without_tags(shot: int) -> None:
    with pytest.raises(EgolibError, match="the tags have 5"):
        match_summaries([shot], [1], TAGS)


def test_means() -> None:
    matches = [Match(0.5, 1.0, 2 / 3), Match(1.0, 0.0, 0.0)]
    assert mean_match(matches) == Match(0.75, 0.5, pytest.approx(1 / 3))
    assert np.isnan(mean_match([*matches, match_summaries([2], [1], TAGS)]).f1)
    with pytest.raises(EgolibError, match="no query"):
        mean_match([])
    assert summary_table({2: matches[0], 1: matches[1]}) == {
        "video 1": 0.0,
        "video 2": pytest.approx(200 / 3),
        "average": pytest.approx(100 / 3),
    }
