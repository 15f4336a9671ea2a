"""NumPy's boxes: equal to those for tensors, and what only arrays do."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from egolib.ops import boxes as torch_boxes
from egolib.ops import boxes_numpy as bx

RNG = np.random.default_rng(0)
SOME = np.sort(RNG.uniform(0, 20, (7, 2, 2)), axis=1).reshape(7, 4).astype(np.float32)
OTHERS = np.concatenate([SOME[:3], SOME[:4] + 2, [[5, 5, 5, 5], [9, 9, 3, 3]]]).astype(np.float32)
EMPTY = np.zeros((0, 4), np.float32)

CALLS = {
    "area": lambda module, a, b: module.area(a, 1.0),
    "intersection": lambda module, a, b: module.intersection(a, b),
    "iou": lambda module, a, b: module.iou(a, b),
    "paired_intersection": lambda module, a, b: module.paired_intersection(a, b[: len(a)]),
    "paired_iou": lambda module, a, b: module.paired_iou(a, b[: len(a)]),
    "clip": lambda module, a, b: module.clip(b, (10, 15), 1.0),
    "flip": lambda module, a, b: module.flip(a, 20.0, 1.0),
    "has_area": lambda module, a, b: module.has_area(b),
    "from_xywh": lambda module, a, b: module.from_xywh(a),
    "to_xywh": lambda module, a, b: module.to_xywh(a),
}


@pytest.mark.parametrize("boxes", [EMPTY, SOME], ids=["none", "some"])
@pytest.mark.parametrize("name", CALLS)
def test_equal_to_tensors(name, boxes):
    found = CALLS[name](bx, boxes, OTHERS)
    expected = CALLS[name](torch_boxes, torch.from_numpy(boxes), torch.from_numpy(OTHERS))
    assert found.dtype == expected.numpy().dtype
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_same_names_and_parameters():
    for name in CALLS:
        parameters = [
            list(inspect.signature(getattr(module, name)).parameters)
            for module in (bx, torch_boxes)
        ]
        assert parameters[0] == parameters[1]


def test_pairs_are_the_diagonal():
    np.testing.assert_array_equal(
        bx.paired_iou(SOME, OTHERS[:7]), np.diag(bx.iou(SOME, OTHERS[:7]))
    )
    np.testing.assert_array_equal(
        bx.paired_intersection(SOME, OTHERS[:7]), np.diag(bx.intersection(SOME, OTHERS[:7]))
    )


def test_one_box_with_many():
    assert bx.paired_iou(SOME[0], SOME).shape == (7,)
    assert bx.paired_iou(SOME[0], SOME)[0] == 1


def test_absent_boxes_stay_absent():
    absent = np.full((1, 4), np.nan)
    assert np.isnan(bx.paired_iou(absent, SOME[:1])).all()


def test_boxes_without_area_overlap_nothing():
    point = np.array([[5.0, 5, 5, 5]])
    assert bx.iou(point, point).tolist() == [[0.0]]
    assert bx.iou(point, point, extent=1.0).tolist() == [[1.0]]
