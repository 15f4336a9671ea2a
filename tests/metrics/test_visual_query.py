"""Metrics of visual queries on tables that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.box_tracks import overlap, pack_tracks
from egolib.metrics.visual_query import (
    Queries,
    average_precision,
    choose,
    evaluate,
    evaluate_pairings,
    recovery,
    score_order,
    success,
)


def packed(*tracks: tuple[int, list[tuple]]):
    """Tracks from (first frame, boxes)."""
    rows = [(first + i, *box) for first, boxes in tracks for i, box in enumerate(boxes)]
    return pack_tracks(np.array(rows, float), [len(boxes) for _, boxes in tracks])


UNIT = (0, 0, 10, 10)


def test_no_queries_at_all() -> None:
    empty = pack_tracks(np.zeros((0, 5)), [])
    scores = evaluate(Queries(empty, empty, np.zeros(0, int), np.zeros(0)))
    assert scores.n_queries == 0
    assert all(value == 0 for value in scores.table().values())


class TestAveragePrecision:
    def test_perfect_ranking_gives_the_share_of_hits(self) -> None:
        found = average_precision(
            np.array([1, 1, 0, 0.0]), np.arange(4), np.array([4, 3, 2, 1.0]), 4, thresholds=[0.5]
        )
        assert found.values[0] == pytest.approx(0.5) == found.fraction[0]
        assert found.band[0].tolist() == [0.5, 0.5]

    def test_worst_ranking(self) -> None:
        found = average_precision(
            np.array([0, 1.0]), np.arange(2), np.array([2, 1.0]), 2, thresholds=[0.5]
        )
        assert found.values[0] == pytest.approx(0.5 * 0.5)

    def test_a_query_is_found_once(self) -> None:
        found = average_precision(
            np.array([1, 1.0]), np.array([0, 0]), np.array([2, 1.0]), 1, thresholds=[0.5]
        )
        assert found.values[0] == 1.0

    def test_tie_modes_differ_and_stay_in_the_band(self) -> None:
        rng = np.random.default_rng(0)
        iou, query = (rng.random(200) < 0.4).astype(float), np.arange(200)
        values = {}
        for ties in ("official", "file", "expected"):
            found = average_precision(iou, query, np.ones(200), 200, ties=ties, thresholds=[0.5])
            values[ties] = found.values[0]
            low, high = found.band[0]
        fraction = iou.mean()
        assert len(set(values.values())) == 3
        assert low < values["expected"] < high
        assert values["expected"] == pytest.approx(fraction**2, abs=0.05)

    def test_expectation_is_the_mean_over_all_orders(self) -> None:
        """Two tied predictions, one right: both orders are equally likely."""
        found = average_precision(
            np.array([1, 0.0]),
            np.arange(2),
            np.ones(2),
            2,
            thresholds=[0.5],
            ties="expected",
            orders=4000,
        )
        assert found.values[0] == pytest.approx((0.5 + 0.25) / 2, abs=0.01)

    def test_an_explicit_order_must_be_whole(self) -> None:
        with pytest.raises(ValueError, match="each of the 3"):
            score_order(np.ones(3), [0, 1, 1])

    def test_unknown_mode(self) -> None:
        with pytest.raises(ValueError, match="official, file"):
            score_order(np.ones(3), "random")

    def test_official_is_the_reversed_sort(self) -> None:
        scores = np.array([0.1, 0.9, 0.5])
        assert score_order(scores).tolist() == [1, 2, 0] == score_order(scores, "file").tolist()


def test_choose_takes_the_first_of_equals() -> None:
    chosen = choose(np.array([1.0, 2, 2, 0.5]), np.array([0, 0, 0, 2]), 3)
    assert chosen.tolist() == [1, -1, 3]


def test_recovery_and_success() -> None:
    truth = packed((0, [UNIT] * 4), (0, [UNIT]))
    predicted = packed((0, [UNIT, UNIT]), (5, [UNIT]))
    shared = overlap(predicted, truth)
    assert recovery(shared, truth, np.array([0, 1])).tolist() == [40, 40, 40]
    assert success(shared.stiou, np.array([0, 1])).tolist() == [50, 50, 50]
    assert success(shared.stiou, np.array([-1, -1])).tolist() == [0, 0, 0]


def test_pairings_leave_out_empty_subsets() -> None:
    small, large = (0, 0, 40, 40), (0, 0, 200, 200)
    truth = packed((0, [small]), (0, [large]))
    queries = Queries(truth, truth, np.arange(2), np.ones(2), np.array([1600.0, 1600.0]))
    pairings = {"large": ("all", "large"), "none": ("large", "all")}
    found = evaluate_pairings(queries, pairings)
    assert list(found) == ["large"]
    assert found["large"].n_queries == 1


def test_oracle_is_perfect() -> None:
    truth = packed((3, [UNIT, UNIT]), (7, [(0, 0, 3, 3)]))
    table = evaluate(Queries(truth, truth, np.arange(2), np.ones(2))).table()
    assert table["tAP"] == table["stAP"] == 1.0
    assert table["recovery%"] == table["success%"] == 100.0


def test_search_efficiency() -> None:
    truth = packed((0, [UNIT]))
    counts = {"accessed": np.array([30]), "total": np.array([100])}
    scores = evaluate(Queries(truth, truth, np.array([0]), np.ones(1), **counts))
    assert scores.search_efficiency == pytest.approx(70)
