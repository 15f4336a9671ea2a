"""The VID metric against a literal loop, its conventions, and COCO's."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.detection import (
    Boxes,
    Conventions,
    evaluate_vid,
    predictions_from_lists,
    truths,
)
from egolib.metrics.motion_speed import MotionTable, table_from_rows
from tests.oracles.vod import literal_vid, random_detections

NAMES = ("a", "b", "c")


def columns(made) -> tuple[Boxes, MotionTable]:
    boxes = [t[0] for t in made]
    frame = np.repeat(np.arange(len(made)), [len(b) for b in boxes])
    truth = truths(frame, np.concatenate([t[1] for t in made]), np.concatenate(boxes))
    return truth, table_from_rows([t[2].tolist() for t in made])


def lists(*frames: list[tuple[int, list[float]]]) -> list[list[np.ndarray]]:
    """Detections as (label, [x1, y1, x2, y2, score]) for every frame."""
    return [
        [
            np.array([row for k, row in f if k == label], np.float32).reshape(-1, 5)
            for label in range(3)
        ]
        for f in frames
    ]


NOTHING = lists([])


def test_nothing_at_all():
    none = truths(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)))
    result = evaluate_vid(none, predictions_from_lists([]), table_from_rows([]), NAMES)
    assert np.isnan(result.ap).all() and result.as_dict()["all"] is None


def one_truth(motion: float = 1.0):
    return truths(np.array([0]), np.array([1]), np.array([[0, 0, 10, 10]])), table_from_rows(
        [[motion]]
    )


def test_no_detection_scores_zero_and_absent_classes_nothing():
    truth, motion = one_truth()
    result = evaluate_vid(truth, predictions_from_lists(NOTHING), motion, NAMES).as_dict()
    assert result["all"] == 0 and result["b"] == 0 and result["a"] is None
    assert result["slow"] == 0 and result["fast"] is None


def test_one_hit_and_a_better_scored_miss():
    truth, motion = one_truth()
    hit, miss = (1, [0, 0, 10, 10, 0.5]), (1, [50, 50, 60, 60, 0.9])
    alone = evaluate_vid(truth, predictions_from_lists(lists([hit])), motion, NAMES)
    both = evaluate_vid(truth, predictions_from_lists(lists([hit, miss])), motion, NAMES)
    assert alone.as_dict()["all"] == pytest.approx(1) and both.as_dict()["all"] == pytest.approx(
        0.5
    )


def test_a_second_hit_is_a_miss():
    truth, motion = one_truth()
    first, second = (1, [0, 0, 10, 10, 0.5]), (1, [0, 0, 10, 9, 0.9])
    found = evaluate_vid(truth, predictions_from_lists(lists([first, second])), motion, NAMES)
    assert found.as_dict()["all"] == pytest.approx(1)
    reverse = (1, [0, 0, 10, 9, 0.1])
    found = evaluate_vid(truth, predictions_from_lists(lists([first, reverse])), motion, NAMES)
    assert found.as_dict()["all"] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(6))
def test_equals_a_literal_loop(seed: int):
    made, predictions = random_detections(40, 3, seed, found=25)
    truth, motion = columns(made)
    found = evaluate_vid(truth, predictions_from_lists(predictions), motion, NAMES)
    expected = literal_vid(made, predictions, 3)
    np.testing.assert_allclose(found.ap, expected, rtol=0, atol=1e-12)


def test_equal_overlaps_prefer_a_truth_that_counts():
    """Two truths that a detection overlaps equally: the counted one is taken in every range."""
    box = [[0, 0, 10, 10], [0, 0, 10, 10]]
    truth = truths(np.zeros(2, int), np.ones(2, int), np.array(box))
    motion = table_from_rows([[1.0, 0.5]])
    made = [(np.array(box, np.float32), np.ones(2, int), np.array([1.0, 0.5]))]
    predictions = lists([(1, [0, 0, 10, 10, 0.5])])
    found = evaluate_vid(truth, predictions_from_lists(predictions), motion, NAMES)
    np.testing.assert_allclose(found.ap, literal_vid(made, predictions, 3), rtol=0, atol=1e-12)
    assert found.as_dict()["fast"] == found.as_dict()["slow"] == pytest.approx(1)


def test_borders_count_on_both_sides_officially():
    truth, motion = one_truth(0.7)
    predictions = predictions_from_lists(lists([(1, [0, 0, 10, 10, 0.5])]))
    official = evaluate_vid(truth, predictions, motion, NAMES).as_dict()
    half_open = evaluate_vid(truth, predictions, motion, NAMES, Conventions(borders="half_open"))
    assert official["fast"] == official["medium"] == pytest.approx(1)
    assert half_open.as_dict()["fast"] is None
    assert half_open.as_dict()["medium"] == pytest.approx(1)


def test_boxes_are_two_pixels_larger_officially():
    truth, motion = one_truth()
    predictions = predictions_from_lists(lists([(1, [0, 0, 10, 4.4, 0.5])]))  # plain IoU 0.44
    assert evaluate_vid(truth, predictions, motion, NAMES).as_dict()["all"] == pytest.approx(1)
    plain = evaluate_vid(truth, predictions, motion, NAMES, Conventions(extent="plain"))
    assert plain.as_dict()["all"] == 0


def test_equal_scores_in_official_and_stable_order():
    truth, motion = one_truth()
    hit, miss = (1, [0, 0, 10, 10, 0.5]), (1, [50, 50, 60, 60, 0.5])
    predictions = predictions_from_lists(lists([hit, miss]))
    official = evaluate_vid(truth, predictions, motion, NAMES)
    stable = evaluate_vid(truth, predictions, motion, NAMES, Conventions(sort="stable"))
    made = [(np.array([[0, 0, 10, 10]], np.float32), np.array([1]), np.array([1.0]))]
    expected = literal_vid(made, lists([hit, miss]), 3)
    np.testing.assert_allclose(official.ap, expected, rtol=0, atol=1e-12)
    assert stable.as_dict()["all"] == pytest.approx(1)


def test_columns_of_lists():
    found = predictions_from_lists(
        lists([(2, [0, 0, 1, 1, 0.5]), (0, [0, 0, 2, 2, 0.4])], [], [(1, [1, 1, 2, 2, 0.3])])
    )
    assert found.frame.tolist() == [0, 0, 2] and found.label.tolist() == [0, 2, 1]
    assert found.score.tolist() == pytest.approx([0.4, 0.5, 0.3])
    assert len(predictions_from_lists([])) == 0
