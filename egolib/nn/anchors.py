"""Anchor boxes on the cells of feature maps.

A anchors a cell; H, W rows and columns of a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from egolib.nn.config import AnchorConfig


def cell_anchors(config: AnchorConfig, level: int = 0) -> Tensor:
    """Anchors (A, 4) of the cell at the origin, ratio by ratio, sizes inside.

    >>> cell_anchors(AnchorConfig((16,), ((32.0,),), (1.0,)))
    tensor([[-16., -16.,  16.,  16.]])
    """
    stride, sizes = config.strides[level], config.sizes[level]
    if config.rounding == "legacy":
        return _legacy_cell_anchors(stride, sizes, config.ratios)
    rows = [
        [-s / math.sqrt(r) / 2, -s * math.sqrt(r) / 2, s / math.sqrt(r) / 2, s * math.sqrt(r) / 2]
        for r in config.ratios
        for s in sizes
    ]
    return torch.tensor(rows, dtype=torch.float64).float()


def _legacy_cell_anchors(stride: int, sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Windows of whole pixels around the middle of the cell (0, 0, stride - 1, stride - 1).

    A window of the cell's area gets the wanted ratio by rounding its width, then its
    height; then it is multiplied by size / stride (Girshick's py-faster-rcnn).
    """
    middle = (stride - 1) / 2
    rows = []
    for ratio in ratios:
        width = round(math.sqrt(stride * stride / ratio))
        height = round(width * ratio)
        for size in sizes:
            x, y = (width * size / stride - 1) / 2, (height * size / stride - 1) / 2
            rows.append([middle - x, middle - y, middle + x, middle + y])
    return torch.tensor(rows, dtype=torch.float64).float()


class AnchorGrid:
    """Anchors of all cells of all levels, kept for the last sizes that were asked for.

    Args:
        config: strides, sizes, ratios and rounding.
    """

    def __init__(self, config: AnchorConfig) -> None:
        self.config = config
        self._kept: dict[tuple[Any, ...], Tensor] = {}

    @property
    def per_cell(self) -> int:
        """A, anchors of one cell."""
        return len(self.config.ratios) * len(self.config.sizes[0])

    def level(self, level: int, size: tuple[int, int], device: torch.device | str) -> Tensor:
        """Anchors (H * W * A, 4) of one level, flattened as (row, column, anchor).

        Args:
            level: its number, from the finest.
            size: H, W of the map.
            device: where the anchors lie.
        """
        key = (level, *size, str(device))
        if key not in self._kept:
            if len(self._kept) > 64:
                self._kept.clear()
            cells = cell_anchors(self.config, level).to(device)
            self._kept[key] = grid_anchors(cells, size, self.config.strides[level])
        return self._kept[key]

    def __call__(
        self, sizes: Sequence[tuple[int, int]], device: torch.device | str
    ) -> list[Tensor]:
        """Anchors of every level for maps of the given sizes (H, W)."""
        return [self.level(i, size, device) for i, size in enumerate(sizes)]


def grid_anchors(cells: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Cell anchors (A, 4) shifted to every cell: (H * W * A, 4).

    Args:
        cells: (A, 4) around the origin.
        size: H, W of the map.
        stride: pixels between cells.
    """
    height, width = size
    y = torch.arange(height, device=cells.device) * stride
    x = torch.arange(width, device=cells.device) * stride
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    shifts = torch.stack([columns, rows, columns, rows], dim=-1).to(cells)  # (H, W, 4)
    return (shifts[:, :, None] + cells).reshape(-1, 4)
