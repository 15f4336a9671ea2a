"""COCO's AP."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.metrics.coco import COCO_NAMES, evaluate_coco
from egolib.metrics.detection import predictions_from_lists, truths

NAMES = ("a", "b", "c")
TRUTH = truths(np.array([0]), np.array([1]), np.array([[0, 0, 10, 10]]))


def one(score: float = 0.5, x: float = 0.0) -> list[list[np.ndarray]]:
    none = np.zeros((0, 5), np.float32)
    return [[none, np.array([[x, 0, x + 10, 10, score]], np.float32), none]]


def test_perfect_and_moved():
    perfect = evaluate_coco(
        TRUTH, predictions_from_lists(one()), [(20, 20)], NAMES, class_wise=True
    )
    assert perfect["bbox_mAP"] == pytest.approx(1) and perfect["bbox_mAP_s"] == pytest.approx(1)
    assert perfect["bbox_mAP_l"] == -1 and perfect["AP/b"] == pytest.approx(1)
    assert np.isnan(perfect["AP/a"])
    moved = evaluate_coco(TRUTH, predictions_from_lists(one(x=1.0)), [(20, 20)], NAMES)
    assert moved["bbox_mAP_50"] == pytest.approx(1) and 0.5 < moved["bbox_mAP"] < 0.9


def test_nothing_found():
    empty = predictions_from_lists([[np.zeros((0, 5))] * 3])
    found = evaluate_coco(TRUTH, empty, [(20, 20)], NAMES)
    assert found == dict.fromkeys(COCO_NAMES, 0.0) | {"bbox_mAP_m": -1, "bbox_mAP_l": -1}


def test_no_truths():
    nothing = truths(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)))
    found = evaluate_coco(nothing, predictions_from_lists(one()), [(20, 20)], NAMES)
    assert found == dict.fromkeys(COCO_NAMES, -1.0)


def test_annotated_areas_decide_the_size():
    areas = np.array([50000.0])
    boxes = np.array([[0.0, 0, 10, 10]])
    found = evaluate_coco(TRUTH, predictions_from_lists(one()), [(20, 20)], NAMES, boxes, areas)
    assert found["bbox_mAP_s"] == -1 and found["bbox_mAP_l"] == pytest.approx(1)
