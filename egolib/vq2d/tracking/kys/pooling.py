"""Precise RoI pooling (Jiang et al., ECCV 2018), in closed form and differentiable in the box.

Legend: B images, K boxes of each image, C channels, H, W map size, n bins along a side.
"""

from __future__ import annotations

import torch
from torch import Tensor


def precise_roi_pool(features: Tensor, boxes_xyxy: Tensor, bins: int, scale: float) -> Tensor:
    """Mean of the bilinear interpolant of a map over each bin, (B, K, C, n, n).

    The interpolant falls to zero within one cell outside the map. Its integral over a bin
    is separable: a row weight and a column weight for every cell.

    Args:
        features: (B, C, H, W).
        boxes_xyxy: (B, K, 4) in pixels.
        bins: n.
        scale: cells per pixel, for instance 1 / 16.

    Empty bins give 0.
    """
    batch, count = boxes_xyxy.shape[:2]
    channels, height, width = features.shape[1:]
    x1, y1, x2, y2 = (boxes_xyxy * scale).unbind(-1)  # (B, K) each
    columns, span_x = _bin_weights(x1, x2, bins, width)  # (B, K, n, W)
    rows, span_y = _bin_weights(y1, y2, bins, height)  # (B, K, n, H)
    flat = features.reshape(batch, channels * height, width)
    partial = flat @ columns.reshape(batch, count * bins, width).mT  # (B, C H, K n)
    partial = partial.reshape(batch, channels, height, count, bins)
    partial = partial.permute(0, 3, 2, 1, 4).reshape(batch, count, height, channels * bins)
    total = (rows @ partial).reshape(batch, count, bins, channels, bins)
    area = (span_x * span_y)[..., None, None, None]  # (B, K, 1, 1, 1)
    pooled = total.transpose(2, 3)  # (B, K, C, n, n)
    return torch.where(area > 0, pooled / area.clamp(min=1e-12), torch.zeros_like(pooled))


def _bin_weights(low: Tensor, high: Tensor, bins: int, cells: int) -> tuple[Tensor, Tensor]:
    """Integral of each cell's hat over each bin, (B, K, n, cells), and the bins' width, (B, K)."""
    span = (high - low).clamp(min=0) / bins
    steps = torch.arange(bins + 1, dtype=low.dtype, device=low.device)
    edges = low[..., None] + span[..., None] * steps  # (B, K, n + 1)
    centres = torch.arange(cells, dtype=low.dtype, device=low.device)
    integral = _hat_integral(edges[..., None] - centres)  # (B, K, n + 1, cells)
    return integral[..., 1:, :] - integral[..., :-1, :], span


def _hat_integral(t: Tensor) -> Tensor:
    """Integral of the unit hat max(0, 1 - |u|) from minus infinity to t."""
    t = t.clamp(-1, 1)
    return 0.5 + t - 0.5 * t * t.abs()
