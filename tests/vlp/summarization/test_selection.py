from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.summarization import match_summaries
from egolib.vlp.summarization.selection import (
    best_possible_summary,
    best_shots,
    random_summary,
    summary_length,
    uniform_summary,
)


def test_lengths_of_the_published_videos() -> None:
    assert [summary_length(n) for n in (2783, 3692, 2152, 3588)] == [55, 73, 43, 71]
    with pytest.raises(EgolibError, match=r"0.02 of 49 shots is less than one"):
        summary_length(49)


def test_best_shots_first_and_the_earlier_of_equal_ones() -> None:
    assert best_shots(np.array([0.5, 2.0, 0.5, 1.0]), 3).tolist() == [1, 3, 0]


def test_summaries_without_a_network() -> None:
    drawn = random_summary(30, 5, np.random.default_rng(0))
    assert len(set(drawn.tolist())) == 5 and drawn.max() < 30
    assert uniform_summary(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert uniform_summary(7, 1).tolist() == [3]


def test_no_summary_beats_the_best_possible_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        tags = (rng.random((14, 5)) < 0.3).astype(np.uint8)
        reference = rng.choice(14, rng.integers(1, 6), replace=False).tolist()
        for count in (1, 3, 7):
            best = best_possible_summary(reference, tags, count)
            assert len(set(best.tolist())) == count
            top = match_summaries(best.tolist(), reference, tags, zero_f1="zero").f1
            for _ in range(15):
                other = rng.choice(14, count, replace=False).tolist()
                assert match_summaries(other, reference, tags, zero_f1="zero").f1 <= top + 1e-12
