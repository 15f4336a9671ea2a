"""Cells of a map attend to remembered cells: MAMBA's pixel level, EOVOD's location memory.

H, W rows and columns of a map; C channels; M remembered cells; G boxes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from egolib.vod.models.heads import Aggregator, Projected


def enhance(aggregator: Aggregator, x: Tensor, support: Projected) -> Tensor:
    """A map (1, C, H, W) whose cells have added what they gather from the support.

    Args:
        aggregator: attention of width C.
        x: (1, C, H, W).
        support: keys and values (M, C) of the remembered cells.
    """
    cells = as_cells(x)
    gathered: Tensor = aggregator(cells, support)
    cells = cells + gathered
    return cells.t().reshape(x.shape)


def as_cells(x: Tensor) -> Tensor:
    """A map (1, C, H, W) or (C, H, W) as cells (H * W, C), row by row."""
    return x.reshape(x.shape[-3], -1).t()


def largest_cells(x: Tensor, number: int) -> Tensor:
    """Indices of the cells of largest L2 norm, best first; x is (1, C, H, W)."""
    norms = torch.linalg.vector_norm(as_cells(x), dim=1)
    best: Tensor = norms.topk(min(number, len(norms))).indices
    return best


def random_rows(rows: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    """At most ``number`` rows, a random choice where there are more.

    Args:
        rows: (R, ...).
        number: how many are left at most.
        generator: on the CPU; None for PyTorch's global one.
    """
    if len(rows) <= number:
        return rows
    chosen = torch.randperm(len(rows), generator=generator)[:number]
    return rows[chosen.to(rows.device)]


def cells_with_centre_inside(box: list[float], size: tuple[int, int], stride: int) -> Tensor:
    """Indices of the cells whose centres lie in a box (pixels); else the one of its centre.

    Args:
        box: x1, y1, x2, y2 in input pixels.
        size: (H, W) of the map.
        stride: input pixels a cell.
    """
    height, width = size
    x1, y1, x2, y2 = (v / stride for v in box)
    left, right = max(math.ceil(x1 - 0.5), 0), min(math.floor(x2 - 0.5), width - 1)
    top, bottom = max(math.ceil(y1 - 0.5), 0), min(math.floor(y2 - 0.5), height - 1)
    if left > right or top > bottom:
        left = right = min(max(int((x1 + x2) / 2), 0), width - 1)
        top = bottom = min(max(int((y1 + y2) / 2), 0), height - 1)
    return _rectangle(left, top, right, bottom, width)


def cells_between_corners(
    box: list[float], size: tuple[int, int], stride: int, border: str = "official"
) -> np.ndarray:
    """Sorted indices of the cells between a box's truncated corners, both included.

    Official behaviour: the rectangle is not clipped, only its indices are, so that a
    corner beyond the right edge means cells of the next row; ``inside`` clips it.

    Args:
        box: x1, y1, x2, y2 in input pixels.
        size: (H, W) of the map.
        stride: input pixels a cell.
        border: ``official`` or ``inside``, see above.
    """
    height, width = size
    left, top, right, bottom = (int(v / stride) for v in box)
    if border == "inside":
        left, right = max(left, 0), min(right, width - 1)
        top, bottom = max(top, 0), min(bottom, height - 1)
    cells = np.sort(_rectangle(left, top, right, bottom, width).numpy())
    return cells.clip(0, height * width - 1)


def _rectangle(left: int, top: int, right: int, bottom: int, width: int) -> Tensor:
    rows, columns = torch.arange(top, bottom + 1), torch.arange(left, right + 1)
    return (rows[:, None] * width + columns).flatten()
