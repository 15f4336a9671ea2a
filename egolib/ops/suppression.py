"""Greedy non-maximum suppression of many groups at once, without asking the host.

Legend: G groups, N boxes of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 32


def suppress(
    boxes: Tensor, valid: Tensor, threshold: float, *, extent: float = 0.0, rounds: int = ROUNDS
) -> tuple[Tensor, Tensor]:
    """What greedy suppression keeps, (G, N) bool, and whether that is final, () bool.

    A box stays unless a better one that stays overlaps it. Started from "all stay" and
    repeated, this rule is right for one box of a chain more in each round, and final when a
    round changes nothing; chains of overlapping boxes are far shorter than N.

    Args:
        boxes: (G, N, 4), best first.
        valid: (G, N) bool; other boxes are neither kept nor do they suppress.
        threshold: a box goes when its IoU with a better one is larger.
        extent: what the boxes' convention adds to ``x2 - x1`` for a width.
        rounds: after which it stops; N are always enough.
    """
    count = boxes.shape[1]
    if not count:
        return valid, torch.ones((), dtype=torch.bool, device=valid.device)
    better = torch.ones(count, count, dtype=torch.bool, device=boxes.device).triu(1)
    kind = torch.bfloat16 if boxes.is_cuda else torch.float32
    goes = (_overlaps(boxes, threshold, extent) & better & valid[:, :, None]).to(kind)
    kept = before = valid
    for _ in range(min(rounds, count)):
        before = kept
        kept = valid & ((before[:, None].to(kind) @ goes)[:, 0] == 0)
    return kept, (kept == before).all() | (rounds >= count)


def _overlaps(boxes: Tensor, threshold: float, extent: float) -> Tensor:
    """(G, N, N) bool, IoU above the threshold, in torchvision's order of arithmetic."""
    if extent:
        boxes = torch.cat([boxes[..., :2], boxes[..., 2:] + extent], dim=-1)
    width, height = (
        (
            torch.minimum(high[:, :, None], high[:, None])
            - torch.maximum(low[:, :, None], low[:, None])
        )
        for low, high in ((boxes[..., i], boxes[..., i + 2]) for i in range(2))
    )
    shared = width.clamp_(min=0).mul_(height.clamp_(min=0))
    sides = boxes[..., 2:] - boxes[..., :2]
    areas = sides[..., 0] * sides[..., 1]
    return shared / (areas[:, :, None] + areas[:, None] - shared) > threshold


def best_first(scores: Tensor, kept: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Indices (G, n) of the best kept boxes, n = min(number, N), equal scores in their order,
    and which of them are kept ones, (G, n) bool.

    Args:
        scores: (G, N).
        kept: (G, N) bool.
        number: how many are wanted.
    """
    ranked = scores.masked_fill(~kept, -torch.inf)
    order = ranked.sort(dim=1, descending=True, stable=True).indices[:, :number]
    return order, kept.gather(1, order)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """(G, n, D) of rows (G, N, D) at indices (G, n)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))
