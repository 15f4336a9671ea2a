"""Boundary adjustment: which columns are read, and equality with the plain order of work."""

from __future__ import annotations

import torch

from egolib.mq.models.boundary import BoundaryAdjustment, _columns
from tests.mq.small import SMALL
from tests.oracles.vsgn import boundary_offset


def test_columns_lie_an_eighth_of_the_length_apart():
    boxes = torch.tensor([[[10.9, 25.9], [-3.0, 4.0], [60.0, 90.0]]])
    assert _columns(boxes, 0, 64).tolist() == [[[8, 10, 12], [0, 0, 0], [59, 60, 60]]]
    assert _columns(boxes, 1, 64).tolist() == [[[23, 25, 27], [3, 4, 4], [62, 63, 63]]]


def test_equal_to_a_convolution_of_every_boxes_columns():
    torch.manual_seed(0)
    module = BoundaryAdjustment(SMALL)
    finest = torch.randn(2, 16, 64, requires_grad=True)
    boxes = torch.rand(2, 50, 2).mul(64).sort(-1).values
    found = module(boxes, finest)
    expected = torch.stack(
        [
            boundary_offset(end, finest, _columns(boxes, side, 64))
            for side, end in enumerate((module.start, module.end))
        ],
        -1,
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [
        torch.autograd.grad(x.square().sum(), [finest, *module.parameters()])
        for x in (found, expected)
    ]
    for a, b in zip(*gradients, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_positions_carry_no_gradient():
    module = BoundaryAdjustment(SMALL)
    boxes = torch.tensor([[[10.0, 20.0]]], requires_grad=True)
    module(boxes, torch.randn(1, 16, 64)).sum().backward()
    assert boxes.grad is None
