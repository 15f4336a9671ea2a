"""The cost volume between two feature maps.

Legend: B images, C channels, H, W map size, k window (3), m largest displacement (9).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cost_volume(current: Tensor, previous: Tensor, kernel: int = 3, reach: int = 9) -> Tensor:
    """How well each current cell fits each previous cell, (B, H' W', H, W).

    Entry (r', c', r, c) is the sum of channel products of the two k x k windows around the
    previous cell (r', c') and the current cell (r, c), with zeros outside the maps; it is 0
    where the cells are more than ``reach`` rows or columns apart.

    All pairs are one matrix product; windows are sums along its diagonals.

    Args:
        current: (B, C, H, W) map of this frame.
        previous: (B, C, H, W) map of the last frame.
        kernel: side of the summed window, in cells.
        reach: largest displacement in cells.
    """
    batch, channels, height, width = current.shape
    pairs = previous.reshape(batch, channels, -1).mT @ current.reshape(batch, channels, -1)
    pairs = pairs.reshape(batch, height, width, height, width)
    volume = _sum_over_windows(pairs, kernel)
    near_rows, near_columns = _near(height, reach, pairs), _near(width, reach, pairs)
    volume = volume * (near_rows[:, None, :, None] * near_columns[None, :, None, :])
    return volume.reshape(batch, height * width, height, width)


def _sum_over_windows(pairs: Tensor, kernel: int) -> Tensor:
    """Adds each pair's neighbours shifted equally in both maps; (B, H', W', H, W)."""
    half = kernel // 2
    padded = functional.pad(pairs, (half,) * 8)
    height, width = pairs.shape[-2:]
    total = torch.zeros_like(pairs)
    for row in range(kernel):
        for column in range(kernel):
            rows, columns = slice(row, row + height), slice(column, column + width)
            total += padded[:, rows, columns, rows, columns]
    return total


def _near(cells: int, reach: int, like: Tensor) -> Tensor:
    """(cells, cells) 1 where two positions are at most ``reach`` apart."""
    positions = torch.arange(cells, device=like.device)
    return ((positions[:, None] - positions[None, :]).abs() <= reach).to(like.dtype)


# ------------------------------------------------------- the official order of work


def correlation(current: Tensor, previous: Tensor, kernel: int = 3, patch: int = 19) -> Tensor:
    """The volume displacement by displacement, (B, patch, patch, H, W), as the compiled
    layer works: entry (i, j, r, c) compares current (r, c) with previous

    Args:
        current: (B, C, H, W) map of this frame.
        previous: (B, C, H, W) map of the last frame.
        kernel: side of the summed window, in cells.
        patch: displacements along an axis.

    (r + i - m, c + j - m), m = patch // 2. Kept as the reference for ``cost_volume``."""
    reach = patch // 2
    height, width = current.shape[-2:]
    padded = functional.pad(previous, (reach,) * 4)
    planes = [
        (current * padded[:, :, i : i + height, j : j + width]).sum(1)
        for i in range(patch)
        for j in range(patch)
    ]
    products = torch.stack(planes, 1)  # (B, patch patch, H, W)
    summed = functional.avg_pool2d(products, kernel, 1, kernel // 2, divisor_override=1)
    return summed.reshape(len(current), patch, patch, height, width)


def absolute_positions(volume: Tensor) -> Tensor:
    """(B, H', W', H, W) from displacements (B, patch, patch, H, W); 0 where out of reach."""
    batch, patch, _, height, width = volume.shape
    reach = patch // 2
    result = volume.new_zeros(batch, height, width, height, width)
    for row in range(height):
        for column in range(width):
            top, left = row - reach, column - reach
            rows = slice(max(top, 0), min(row + reach + 1, height))
            columns = slice(max(left, 0), min(column + reach + 1, width))
            result[:, rows, columns, row, column] = volume[
                :,
                rows.start - top : rows.stop - top,
                columns.start - left : columns.stop - left,
                row,
                column,
            ]
    return result
