"""Greedy non-maximum suppression of several lists of boxes at once, without asking the host.

B lists; N boxes of each, best first; P places.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 512  # boxes whose suppression is settled together
ROUNDS = 32  # steps for it; chains of boxes that spare each other are rarely longer


def survivors(
    boxes: Tensor,
    valid: Tensor,
    threshold: float,
    *,
    groups: Tensor | None = None,
    extent: float = 0.0,
    rounds: int = ROUNDS,
    block: int = BLOCK,
) -> tuple[Tensor, Tensor]:
    """Greedy non-maximum suppression of several lists of boxes at once.

    A box stays when no better one that stays overlaps it. Within a block this is applied to
    all boxes again and again, from all of them staying, until nothing changes: the fixed point
    is unique, and is the result of going box by box.

    Args:
        boxes: (B, N, 4) float, best first.
        valid: (B, N) bool; others neither stay nor suppress.
        threshold: a box goes when its IoU with a better one is larger.
        groups: (B, N), within which boxes suppress each other; None for one group.
        extent: what the convention adds to ``x2 - x1`` for a width.
        rounds: of a block, after which it stops; as many as boxes are always enough.
        block: boxes whose suppression is settled together.

    Returns:
        Which boxes stay, (B, N) bool, and whether that is settled, (B,) bool.
    """
    kind = torch.bfloat16 if boxes.is_cuda else torch.float32
    stay = valid.new_zeros(valid.shape, dtype=kind)
    settled = valid.new_ones(len(valid))
    with torch.autocast(boxes.device.type, enabled=False):
        for start in range(0, boxes.shape[1], block):
            part = slice(start, min(start + block, boxes.shape[1]))
            hit = _overlap(boxes, part, threshold, extent)
            if groups is not None:
                hit &= groups[:, part, None] == groups[:, None, : part.stop]
            hit = hit.to(kind)
            free = valid[:, part]
            if start:
                free = free & _none(hit[:, :, :start], stay[:, :start])
            kept, same = _fixed_point(hit[:, :, start:].tril(-1), free, rounds)
            stay[:, part] = kept.to(kind)
            settled = settled & same
    return stay > 0, settled


def _overlap(boxes: Tensor, part: slice, threshold: float, extent: float) -> Tensor:
    """Whether boxes of a part overlap those up to its end by more than the threshold."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    x2, y2 = x2 + extent, y2 + extent
    areas = (x2 - x1) * (y2 - y1)
    width = _shared(x1, x2, part)
    shared = _shared(y1, y2, part).mul_(width)
    union = (areas[:, part, None] + areas[:, None, : part.stop]).sub_(shared)
    return shared.div_(union) > threshold


def _shared(low: Tensor, high: Tensor, part: slice) -> Tensor:
    """Length, (B, part, N), that intervals of a part share with those up to its end."""
    first = torch.maximum(low[:, part, None], low[:, None, : part.stop])
    last = torch.minimum(high[:, part, None], high[:, None, : part.stop])
    return last.sub_(first).clamp_(min=0)


def _none(hit: Tensor, stay: Tensor) -> Tensor:
    """Which rows of ``hit`` (B, n, m) meet none of those that stay (B, m)."""
    return torch.bmm(hit, stay[..., None])[..., 0] == 0


def _fixed_point(hit: Tensor, free: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    before = kept = free
    for _ in range(min(rounds, free.shape[1])):
        before, kept = kept, free & _none(hit, kept.to(hit.dtype))
    return kept, (kept == before).all(dim=1) | (rounds >= free.shape[1])


def first_of(stay: Tensor, number: int) -> Tensor:
    """Places (B, number) of the first rows that stay, in order; what follows them is arbitrary."""
    places: Tensor = stay.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices
    return places[:, :number]


def rows_at(x: Tensor, places: Tensor) -> Tensor:
    """Rows (B, P, ...) of x (B, N, ...) at places (B, P)."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]


def best_first(scores: Tensor, kept: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Indices (B, n) of the best kept boxes, n = min(number, N), equal scores in their order,
    and which of them are kept ones, (B, n) bool.

    Args:
        scores: (B, N).
        kept: (B, N) bool.
        number: how many are wanted.
    """
    ranked = scores.masked_fill(~kept, -torch.inf)
    order = ranked.sort(dim=1, descending=True, stable=True).indices[:, :number]
    return order, kept.gather(1, order)
