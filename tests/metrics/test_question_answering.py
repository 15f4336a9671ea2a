from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics import question_answering as metrics

TYPES = [["world", "query"], ["world", "verify"], ["intent", "intent", "verify"], ["choose"]]
ANSWERS = np.array([3, 1, 2, 0])


@pytest.mark.parametrize(
    "predicted, expected",
    [
        ([3, 1, 2, 0], {"open": 100.0, "binary": 100.0, "all": 100.0}),
        ([3, 1, 0, 1], {"open": 100.0, "binary": 50.0, "all": 50.0}),
        ([0, 0, 0, 0], {"open": 0.0, "binary": 0.0, "all": 25.0}),
    ],
)
def test_table(predicted: list[int], expected: dict[str, float]) -> None:
    assert metrics.accuracy_table(np.array(predicted), ANSWERS, TYPES) == expected


def test_no_question_at_all() -> None:
    none = np.zeros(0, np.int64)
    assert metrics.accuracy_table(none, none, []) == {"open": 0.0, "binary": 0.0, "all": 0.0}
    assert metrics.accuracy_by_type(none, none, [], names=["world"]) == {"world": 0.0}
    assert metrics.overall_accuracy(none, none, 4) == 0.0


def test_a_type_listed_twice_counts_twice() -> None:
    counts = metrics.type_counts(np.array([True, False, True, True]), TYPES)
    assert counts["intent"] == (2, 2)
    assert counts["world"] == (1, 2) and counts["verify"] == (1, 2)


def test_types_after_the_seventh_are_cut_off_unless_all_are_asked_for() -> None:
    types = [list("abcdefghi")]
    right = np.array([True])
    assert "h" not in metrics.type_counts(right, types)
    assert metrics.type_counts(right, types, "all")["i"] == (1, 1)


def test_a_smaller_last_batch_weighs_as_much() -> None:
    predicted, answers = np.array([1, 1, 1, 1, 0]), np.ones(5, np.int64)
    assert metrics.overall_accuracy(predicted, answers, 4) == 0.5
    assert metrics.overall_accuracy(predicted, answers, 4, "questions") == 0.8


def test_printed_accuracy_grows_with_the_square_of_the_processes() -> None:
    right = np.ones(8, np.int64)
    assert metrics.batch_accuracy(right, right, 4) == [1.0, 1.0]
    assert metrics.batch_accuracy(right, right, 2, processes=2) == [4.0, 4.0]


@pytest.mark.parametrize("count, processes", [(0, 2), (5, 2), (6, 3), (1, 4)])
def test_repeated_questions(count: int, processes: int) -> None:
    official = metrics.sampled_rows(count, processes)
    exact = metrics.sampled_rows(count, processes, "exact")
    assert len({len(rows) for rows in official}) == 1
    assert sorted(np.concatenate(exact).tolist()) == list(range(count))
    if count == 5:
        assert sorted(np.concatenate(official).tolist()) == [0, 0, 1, 2, 3, 4]
