"""Suppression of many groups at once against one by one."""

from __future__ import annotations

import pytest
import torch

from egolib.ops import boxes as bx
from egolib.ops.suppression import best_first, rows_at, survivors


def groups(count: int, boxes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(count, boxes, 4, generator=generator) * 40
    corners[..., 2:] += corners[..., :2]
    scores = (torch.rand(count, boxes, generator=generator) * 50).round()  # many are equal
    order = scores.sort(dim=1, descending=True, stable=True).indices
    return rows_at(corners, order), scores.gather(1, order)


@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("extent", [0.0, 1.0])
def test_as_one_by_one(threshold: float, extent: float) -> None:
    boxes, scores = groups(5, 120)
    valid = torch.rand(5, 120, generator=torch.Generator().manual_seed(1)) < 0.8
    kept, settled = survivors(boxes, valid, threshold, extent=extent)
    assert settled.all()
    for i in range(5):
        own = valid[i].nonzero()[:, 0]
        expected = own[bx.nms(boxes[i, own], scores[i, own], threshold, extent)]
        assert kept[i].nonzero()[:, 0].tolist() == sorted(expected.tolist())


def test_a_long_chain_is_said_to_be_unsettled() -> None:
    """Each box overlaps the next one only: every second one stays."""
    x = torch.arange(20.0) * 4
    boxes = torch.stack([x, torch.zeros(20), x + 10, torch.full((20,), 10.0)], 1)[None]
    valid = torch.ones(1, 20, dtype=torch.bool)
    kept, settled = survivors(boxes, valid, 0.3, rounds=5)
    assert not settled.any()
    kept, settled = survivors(boxes, valid, 0.3, rounds=20)
    assert settled.all() and kept[0].tolist() == [True, False] * 10


def test_no_boxes() -> None:
    kept, settled = survivors(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool), 0.5)
    assert kept.shape == (2, 0) and settled.all()


def test_best_first() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 3.0]])
    order, kept = best_first(scores, torch.tensor([[True, False, True, True]]), 3)
    assert order.tolist() == [[3, 2, 0]] and kept.all()
    order, kept = best_first(scores, torch.tensor([[False, False, True, False]]), 9)
    assert order[0, 0] == 2 and kept.tolist() == [[True, False, False, False]]
