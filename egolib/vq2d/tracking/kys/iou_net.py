"""The IoU net of ATOM (Danelljan et al., CVPR 2019): how well a box fits the target.

Legend: B images, K boxes of each, C channels; maps of stride 8 ("shallow") and 16 ("deep").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from egolib.vq2d.config import KysConfig
from egolib.vq2d.tracking.kys.norms import make_norm
from egolib.vq2d.tracking.kys.pooling import precise_roi_pool

Pair = tuple[Tensor, Tensor]
HALO = 2  # cells that two 3x3 convolutions look beyond


@dataclass(frozen=True)
class Weighted:
    """Test maps weighted for the target, perhaps only of a part of the crop.

    Args:
        maps: (B, C, h, w) of stride 8 and of stride 16.
        origins: (row, column) of each map's first cell.
        valid: (x1, y1, x2, y2) in crop pixels; boxes inside it are scored as on whole maps.
    """

    maps: Pair
    origins: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    valid: tuple[float, float, float, float] = (-math.inf, -math.inf, math.inf, math.inf)

    def covers(self, boxes_xywh: Tensor) -> bool:
        """True where all boxes (..., 4) lie in the valid part."""
        corners = to_corners(boxes_xywh).reshape(-1, 4)
        low, high = corners[:, :2].amin(0), corners[:, 2:].amax(0)
        x1, y1, x2, y2 = self.valid
        return (
            bool(low[0] >= x1)
            and bool(low[1] >= y1)
            and bool(high[0] <= x2)
            and bool(high[1] <= y2)
        )


def conv_block(
    inputs: int, outputs: int, norm: str, kernel: int = 3, padding: int = 1
) -> nn.Sequential:
    """Convolution with bias, norm, ReLU.

    Args:
        inputs: channels.
        outputs: channels.
        norm: ``batch`` or ``group``.
        kernel: side of the convolution.
        padding: of the convolution.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding),
        make_norm(outputs, norm),
        nn.ReLU(inplace=True),
    )


class LinearBlock(nn.Module):
    """Linear layer on flattened regions, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, bins: int, norm: str):
        super().__init__()
        self.linear = nn.Linear(inputs * bins**2, outputs)
        self.norm = make_norm(outputs, norm)

    def forward(self, regions: Tensor) -> Tensor:
        """(N, outputs) from (N, C, n, n)."""
        x = self.norm(self.linear(regions.flatten(1))[:, :, None, None])
        return torch.relu(x).flatten(1)


class IouNet(nn.Module):
    """Predicts the IoU of boxes with the target that a reference image shows."""

    def __init__(self, config: KysConfig):
        super().__init__()
        small, wide, norm = config.iou_reference, config.iou_channels, config.norm
        self.deep_scale, self.shallow_scale = 1 / config.stride, 2 / config.stride
        # reference path
        self.shallow_reference = conv_block(config.shallow_channels, small, norm)
        self.shallow_vector = conv_block(small, 2 * small, norm, 3, 0)
        self.deep_reference = conv_block(config.deep_channels, 2 * small, norm)
        self.shallow_modulation = conv_block(4 * small, wide, norm, 1, 0)
        self.deep_modulation = conv_block(4 * small, wide, norm, 1, 0)
        # test path
        self.shallow_test, self.deep_test = (
            nn.Sequential(*conv_block(channels, wide, norm), *conv_block(wide, wide, norm))
            for channels in (config.shallow_channels, config.deep_channels)
        )
        self.shallow_regions = LinearBlock(wide, wide, 5, norm)
        self.deep_regions = LinearBlock(wide, wide, 3, norm)
        self.iou = nn.Linear(2 * wide, 1)

    def modulation(self, shallow: Tensor, deep: Tensor, boxes_xywh: Tensor) -> Pair:
        """Two vectors (B, C, 1, 1) that describe the target of reference images.

        Args:
            shallow: (B, 512, 36, 36) map.
            deep: (B, 1024, 18, 18) map.
            boxes_xywh: (B, 4) targets in pixels of the crops.
        """
        corners = to_corners(boxes_xywh)[:, None]
        near = precise_roi_pool(self.shallow_reference(shallow), corners, 3, self.shallow_scale)
        far = precise_roi_pool(self.deep_reference(deep), corners, 1, self.deep_scale)
        joined = torch.cat([self.shallow_vector(near[:, 0]), far[:, 0]], dim=1)
        return self.shallow_modulation(joined), self.deep_modulation(joined)

    def features(self, shallow: Tensor, deep: Tensor) -> Pair:
        """Maps (B, C, H, W) of test images."""
        return self.shallow_test(shallow), self.deep_test(deep)

    def weighted(self, modulation: Pair, shallow: Tensor, deep: Tensor) -> Weighted:
        """Whole maps of test images, weighted for the target.

        Args:
            modulation: vectors of the target.
            shallow: map of the frame at stride 8.
            deep: map of the frame at stride 16.
        """
        near, far = self.features(shallow, deep)
        return Weighted((near * modulation[0], far * modulation[1]))

    def weighted_near(
        self, modulation: Pair, shallow: Tensor, deep: Tensor, boxes_xywh: Tensor
    ) -> Weighted:
        """The same around boxes (K, 4) only: equal values for less work.

        The part is larger than the boxes by 40 % of their size on each side; see
        ``Weighted.covers``.

        Args:
            modulation: vectors of the target.
            shallow: map of the frame at stride 8.
            deep: map of the frame at stride 16.
            boxes_xywh: (K, 4) that shall be covered.
        """
        corners = to_corners(boxes_xywh)
        low, high = corners[:, :2].amin(0), corners[:, 2:].amax(0)
        margin = 0.4 * (high - low) + 1 / self.deep_scale
        part = torch.cat([low - margin, high + margin]).tolist()
        maps, origins, limits = [], [], []
        for map_, convolve, vector, scale in (
            (shallow, self.shallow_test, modulation[0], self.shallow_scale),
            (deep, self.deep_test, modulation[1], self.deep_scale),
        ):
            rows = _span(part[1] * scale, part[3] * scale, map_.shape[-2])
            columns = _span(part[0] * scale, part[2] * scale, map_.shape[-1])
            maps.append(_convolved_part(map_, convolve, rows, columns) * vector)
            origins.append((rows[0], columns[0]))
            limits.append(
                (*_limits(columns, map_.shape[-1]), *_limits(rows, map_.shape[-2]), scale)
            )
        x1, x2, y1, y2 = zip(
            *((a / s, b / s, c / s, d / s) for a, b, c, d, s in limits), strict=True
        )
        valid = (max(x1), max(y1), min(x2), min(y2))
        return Weighted((maps[0], maps[1]), (origins[0], origins[1]), valid)

    def forward(self, weighted: Weighted, boxes_xywh: Tensor) -> Tensor:
        """(B, K) predicted IoU of boxes (B, K, 4) in pixels of the crops."""
        batch, count = boxes_xywh.shape[:2]
        corners = to_corners(boxes_xywh)
        near, far = (
            precise_roi_pool(map_, _moved(corners, origin, scale), bins, scale)
            for map_, origin, bins, scale in (
                (weighted.maps[0], weighted.origins[0], 5, self.shallow_scale),
                (weighted.maps[1], weighted.origins[1], 3, self.deep_scale),
            )
        )
        regions = torch.cat(
            [self.shallow_regions(near.flatten(0, 1)), self.deep_regions(far.flatten(0, 1))], dim=1
        )
        result: Tensor = self.iou(regions).reshape(batch, count)
        return result


def to_corners(boxes_xywh: Tensor) -> Tensor:
    """(..., 4) corners from x, y, width, height."""
    return torch.cat([boxes_xywh[..., :2], boxes_xywh[..., :2] + boxes_xywh[..., 2:]], dim=-1)


# ------------------------------------------------------------------- parts of maps


def _span(low: float, high: float, cells: int) -> tuple[int, int]:
    """First cell and end of the cells that a stretch needs, one more on each side."""
    first = min(max(math.floor(low) - 1, 0), cells - 1)
    return first, max(min(math.ceil(high) + 2, cells), first + 1)


def _limits(span: tuple[int, int], cells: int) -> tuple[float, float]:
    """The stretch, in cells, whose interpolation needs no cell outside the span; without
    limit where the span touches the map's end."""
    low = -math.inf if span[0] == 0 else span[0] + 1.0
    high = math.inf if span[1] == cells else span[1] - 2.0
    return low, high


def _convolved_part(
    map_: Tensor, convolve: nn.Module, rows: tuple[int, int], columns: tuple[int, int]
) -> Tensor:
    """Part of a convolved map: computed with a halo, which is cut off again."""
    height, width = map_.shape[-2:]
    top, left = max(rows[0] - HALO, 0), max(columns[0] - HALO, 0)
    bottom, right = min(rows[1] + HALO, height), min(columns[1] + HALO, width)
    part = convolve(map_[:, :, top:bottom, left:right])
    result: Tensor = part[
        :, :, rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left
    ]
    return result


def _moved(corners: Tensor, origin: tuple[int, int], scale: float) -> Tensor:
    """Boxes in pixels of a map that starts at another cell."""
    if origin == (0, 0):
        return corners
    row, column = origin
    return corners - corners.new_tensor([column, row, column, row]) / scale
