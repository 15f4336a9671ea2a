from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.multiple_choice import accuracy_by_kind, egomcq_accuracy


@pytest.mark.parametrize(
    "scores, answers, kinds, names, expected",
    [
        (np.zeros((0, 5)), [], [], "official", {}),
        ([[0, 1], [1, 0]], [1, 1], [1, 2], "official", {"Inter-video": 100, "Intra-video": 0}),
        ([[1, 1]], [0], [1], "official", {"Inter-video": 100}),  # the first maximum counts
        ([[1, 1]], [1], [1], "official", {"Inter-video": 0}),
        ([[0, 1]], [1], [2], "official", {"Inter-video": 100}),  # paired in order: the quirk
        ([[0, 1]], [1], [2], "by_value", {"Intra-video": 100}),
    ],
)
def test_accuracy_by_kind(scores, answers, kinds, names, expected) -> None:
    found = accuracy_by_kind(np.array(scores), np.array(answers), np.array(kinds), names)
    assert found == expected


def test_each_kind_of_score_has_its_name() -> None:
    dual = np.array([[0.5, 0.4], [0.1, 0.2]])
    fusion = np.array([[0.1, 0.9], [0.6, 0.1]])
    found = egomcq_accuracy(dual, fusion, np.array([0, 1]), np.array([1, 1]))
    assert found == {
        "dual": {"Inter-video": 100.0},
        "fusion": {"Inter-video": 0.0},
        "ensemble": {"Inter-video": 0.0},
    }
    assert list(egomcq_accuracy(dual, None, np.array([0, 1]), np.array([1, 1]))) == ["dual"]
