"""Precise RoI pooling against a fine numerical integral, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from egolib.vq2d.tracking.kys.pooling import precise_roi_pool


def by_sampling(features: torch.Tensor, box: list[float], bins: int, fine: int = 200):
    """Mean of bilinear samples on a fine grid, zeros outside."""
    x1, y1, x2, y2 = box
    steps = (torch.arange(bins * fine) + 0.5) / (bins * fine)
    x, y = x1 + (x2 - x1) * steps, y1 + (y2 - y1) * steps
    height, width = features.shape[-2:]
    padded = functional.pad(features, (1, 1, 1, 1))
    grid_y, grid_x = torch.meshgrid((y + 1) / (height + 1), (x + 1) / (width + 1), indexing="ij")
    grid = torch.stack([grid_x, grid_y], -1)[None] * 2 - 1
    sampled = functional.grid_sample(padded[None], grid, align_corners=True)[0]
    return functional.avg_pool2d(sampled, fine)


@pytest.mark.parametrize(
    "box",
    [[1.2, 0.7, 5.9, 4.1], [-2.0, -1.5, 3.0, 2.0], [2.0, 2.0, 9.0, 8.0], [1.0, 1.0, 1.5, 6.0]],
)
@pytest.mark.parametrize("bins", [1, 3])
def test_against_sampling(box: list[float], bins: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 6, 7)
    found = precise_roi_pool(features[None], torch.tensor([[box]]), bins, 1.0)[0, 0]
    torch.testing.assert_close(found, by_sampling(features, box, bins), rtol=0, atol=2e-3)


def test_empty_and_inverted_boxes_give_zero() -> None:
    boxes = torch.tensor([[[2.0, 2.0, 2.0, 5.0], [4.0, 4.0, 1.0, 5.0]]])
    assert not precise_roi_pool(torch.ones(1, 2, 6, 6), boxes, 2, 1.0).any()


def test_a_constant_map_stays_constant() -> None:
    boxes = torch.tensor([[[8.0, 8.0, 31.0, 25.0]]])
    found = precise_roi_pool(torch.full((1, 1, 6, 6), 3.0), boxes, 3, 1 / 8)
    torch.testing.assert_close(found, torch.full_like(found, 3.0))


def test_gradient_in_the_box() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    boxes = torch.tensor([[[1.2, 0.7, 5.9, 4.1]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: precise_roi_pool(features, b, 2, 1.0), boxes)


def test_no_boxes() -> None:
    assert precise_roi_pool(torch.ones(1, 2, 6, 6), torch.zeros(1, 0, 4), 3, 1.0).shape == (
        *(1, 0, 2, 3, 3),
    )
