"""Predicted IoU and its gradient in the box, without building a graph.

Legend: K boxes (of each of B targets, where there are several), C channels, H, W map size,
n bins along a side, L = n n C.

The IoU net is pooling, a linear layer with norm and ReLU per map, and a linear score. Its
gradient is short enough to be written down; the tracker asks for it five times a frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from egolib.vq2d.tracking.kys.iou_net import IouNet, LinearBlock, Weighted, to_corners


class Linear(NamedTuple):
    """A linear layer with its norm folded in; regions laid out (bins across, bins down, C)."""

    weight: Tensor
    bias: Tensor


class IouGradient:
    """The score of an IoU net as a function of boxes.

    Args:
        net: in evaluation mode, with batch norms.
    """

    def __init__(self, net: IouNet):
        self.scales = (net.shallow_scale, net.deep_scale)
        self.bins = (5, 3)
        self.layers = [
            _fold(block, bins)
            for block, bins in zip((net.shallow_regions, net.deep_regions), self.bins, strict=True)
        ]
        self.score, self.offset = net.iou.weight[0], net.iou.bias[0]

    def __call__(self, weighted: Weighted, boxes_xywh: Tensor) -> tuple[Tensor, Tensor]:
        """IoU (..., K) and its gradient (..., K, 4) in x, y, width, height, of boxes (..., K, 4):
        of one target, or (B, K, 4) of B targets, each on its own maps."""
        iou = self.offset.expand(boxes_xywh.shape[:-1])
        corners = to_corners(boxes_xywh)
        gradient = torch.zeros_like(corners)
        parts = zip(
            weighted.maps, weighted.origins, self.scales, self.bins, self.layers, strict=True
        )
        scores = torch.split(self.score, len(self.layers[0].bias))
        for score, (map_, origin, scale, bins, layer) in zip(scores, parts, strict=True):
            cells = corners * scale
            if origin != (0, 0):
                cells = cells - cells.new_tensor([origin[1], origin[0], origin[1], origin[0]])
            own = map_[0] if boxes_xywh.dim() == 2 else map_
            value, change = _pool_and_score(own, cells, bins, layer, score)
            iou, gradient = iou + value, gradient + change * scale
        low, high = gradient[..., :2], gradient[..., 2:]
        return iou, torch.cat([low + high, high], dim=-1)


def _pool_and_score(
    map_: Tensor, corners: Tensor, bins: int, layer: Linear, score: Tensor
) -> tuple[Tensor, Tensor]:
    """One map's part of the IoU (..., K) and its gradient (..., K, 4) in the corners.

    Args:
        map_: (..., C, H, W).
        corners: (..., K, 4) in cells of the map.
        bins: along a side of a pooled region.
        layer: of the pooled values, with its norm.
        score: (E,) weights of the layer's outputs.
    """
    *lead, channels, height, width = map_.shape
    count = corners.shape[-2]
    field = map_.transpose(-1, -3).reshape(*lead, width, height * channels)
    columns, changes_x, span_x = _weights(corners[..., 0], corners[..., 2], bins, width)
    rows, changes_y, span_y = _weights(corners[..., 1], corners[..., 3], bins, height)
    area = (span_x * span_y)[..., None]
    strips = columns.reshape(*lead, count * bins, width) @ field
    strips = strips.reshape(*lead, count, bins, height, channels)  # bins across, rows, C
    regions = (rows[..., None, :, :] @ strips).reshape(*lead, count, -1) / area  # (..., K, L)
    hidden = regions @ layer.weight.T + layer.bias
    value = hidden.clamp(min=0) @ score
    upstream = ((score * (hidden > 0)) @ layer.weight) / area  # (..., K, L), of the integrals
    grid = upstream.reshape(*lead, count, bins, bins, channels)  # bins across, bins down, C
    along_y = (grid @ strips.mT).sum(-3)  # (..., K, n, H)
    spread = (rows.mT[..., None, :, :] @ grid).reshape(*lead, count * bins, height * channels)
    along_x = (spread @ field.mT).reshape(*lead, count, bins, width)
    total = (upstream * regions * area).sum(-1)  # the integrals' part of the score
    low_x, high_x = ((along_x * change).sum((-2, -1)) for change in changes_x)
    low_y, high_y = ((along_y * change).sum((-2, -1)) for change in changes_y)
    shrink_x, shrink_y = total / (span_x * bins), total / (span_y * bins)
    change = torch.stack(
        [low_x + shrink_x, low_y + shrink_y, high_x - shrink_x, high_y - shrink_y], dim=-1
    )
    return value, change


def _weights(
    low: Tensor, high: Tensor, bins: int, cells: int
) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
    """Integral of each cell's hat over each bin (..., K, n, cells), its derivatives in both ends
    of the box, and the bins' width (..., K)."""
    steps = torch.arange(bins + 1, dtype=low.dtype, device=low.device) / bins
    edges = low[..., None] + (high - low)[..., None] * steps  # (..., K, n + 1)
    distance = edges[..., None] - torch.arange(cells, dtype=low.dtype, device=low.device)
    t = distance.clamp(-1, 1)
    integral = 0.5 + t - 0.5 * t * t.abs()
    hat = 1 - t.abs()  # (..., K, n + 1, cells)
    from_low, from_high = hat * (1 - steps)[:, None], hat * steps[:, None]
    changes = (from_low.diff(dim=-2), from_high.diff(dim=-2))
    return integral.diff(dim=-2), changes, (high - low) / bins


def _fold(block: LinearBlock, bins: int) -> Linear:
    """Linear layer and norm in one."""
    norm, linear = block.norm, block.linear
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight = linear.weight * scale[:, None]
    weight = weight.reshape(len(weight), -1, bins, bins).permute(0, 3, 2, 1).flatten(1)
    bias = (linear.bias - norm.running_mean) * scale + norm.bias
    return Linear(weight.detach().contiguous(), bias.detach())
