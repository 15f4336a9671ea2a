"""2-D boxes as ``(x1, y1, x2, y2)`` float tensors: measures, transforms, suppression.

N, M boxes.

``extent`` is what a convention adds to ``x2 - x1`` for a width: 0, or 1 where x2 names
the last pixel inside ("legacy"). Sizes are (height, width) in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torchvision.ops import nms as _nms

from egolib.nn.config import BoxConfig
from egolib.ops.constants import constant

LARGEST_GROWTH = math.log(1000 / 16)


def area(boxes: Tensor, extent: float = 0.0) -> Tensor:
    """Areas, (N,), of boxes (N, 4); negative sides count as none.

    >>> area(torch.tensor([[0.0, 0, 2, 3]]))
    tensor([6.])
    """
    sides = (boxes[..., 2:] - boxes[..., :2] + extent).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def intersection(boxes: Tensor, others: Tensor, extent: float = 0.0) -> Tensor:
    """Shared areas, (N, M), of boxes (N, 4) and others (M, 4).

    Args:
        boxes: (N, 4).
        others: (M, 4).
        extent: see above.
    """
    return paired_intersection(boxes[:, None], others[None], extent)


def iou(boxes: Tensor, others: Tensor, extent: float = 0.0) -> Tensor:
    """Intersection over union, (N, M); 0 between boxes without area.

    Args:
        boxes: (N, 4).
        others: (M, 4).
        extent: see above.
    """
    shared = intersection(boxes, others, extent)
    union = area(boxes, extent)[:, None] + area(others, extent)[None] - shared
    return shared / union.clamp(min=1e-6)


def paired_intersection(boxes: Tensor, others: Tensor, extent: float = 0.0) -> Tensor:
    """Shared areas, (...), of boxes (..., 4) with others (..., 4), one by one.

    Args:
        boxes: (..., 4), broadcast against ``others``.
        others: (..., 4).
        extent: see above.
    """
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    sides = (high - low + extent).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def paired_iou(boxes: Tensor, others: Tensor, extent: float = 0.0) -> Tensor:
    """Intersection over union, (...), of boxes (..., 4) with others (..., 4), one by one.

    Args:
        boxes: (..., 4), broadcast against ``others``.
        others: (..., 4).
        extent: see above.
    """
    shared = paired_intersection(boxes, others, extent)
    union = area(boxes, extent) + area(others, extent) - shared
    return shared / union.clamp(min=1e-6)


def clip(boxes: Tensor, size: tuple[int, int], extent: float = 0.0) -> Tensor:
    """Boxes (..., 4) with corners moved into [0, width - extent] x [0, height - extent].

    Args:
        boxes: (..., 4).
        size: (height, width).
        extent: see above.
    """
    height, width = size
    x = boxes[..., 0::2].clamp(0, width - extent)
    y = boxes[..., 1::2].clamp(0, height - extent)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def flip(boxes: Tensor, width: float, extent: float = 0.0) -> Tensor:
    """Boxes (..., 4) of the image mirrored left to right.

    Args:
        boxes: (..., 4).
        width: of the image.
        extent: see above.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - extent - x2, y1, width - extent - x1, y2], dim=-1)


def has_area(boxes: Tensor) -> Tensor:
    """Mask, (N,), of boxes with x2 > x1 and y2 > y1."""
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def from_xywh(boxes_xywh: Tensor) -> Tensor:
    """(x, y, width, height) as (x1, y1, x2, y2)."""
    return torch.cat([boxes_xywh[..., :2], boxes_xywh[..., :2] + boxes_xywh[..., 2:]], dim=-1)


def to_xywh(boxes: Tensor) -> Tensor:
    """(x1, y1, x2, y2) as (x, y, width, height)."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], dim=-1)


# ------------------------------------------------------------------------ offsets


@dataclass(frozen=True)
class BoxCoder:
    """Offsets between a reference box and a target: shift of the centre in reference
    sizes, logarithm of the change of size (Girshick, CVPR 2014, appendix C)."""

    config: BoxConfig = field(default_factory=BoxConfig)

    def encode(self, references: Tensor, targets: Tensor) -> Tensor:
        """Offsets (N, 4) that turn references (N, 4) into targets (N, 4)."""
        centre, size = self._centre_and_size(references)
        target_centre, target_size = self._centre_and_size(targets)
        shift = (target_centre - centre) / size
        growth = torch.log(target_size / size)
        return torch.cat([shift, growth], dim=-1) * constant(self.config.weights, references)

    def decode(self, references: Tensor, offsets: Tensor) -> Tensor:
        """Boxes (..., 4) from references (..., 4) and offsets (..., 4), not clipped."""
        offsets = offsets / constant(self.config.weights, offsets)
        low = -LARGEST_GROWTH if self.config.clamp == "both" else None
        growth = offsets[..., 2:].clamp(min=low, max=LARGEST_GROWTH)
        centre, size = self._centre_and_size(references)
        centre = centre + offsets[..., :2] * size
        half = 0.5 * size * growth.exp()
        return torch.cat([centre - half, centre + half - self.config.extent], dim=-1)

    def _centre_and_size(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        size = boxes[..., 2:] - boxes[..., :2] + self.config.extent
        return boxes[..., :2] + 0.5 * size, size


# -------------------------------------------------------------------- suppression


def nms(boxes: Tensor, scores: Tensor, threshold: float, extent: float = 0.0) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4) float.
        scores: (N,) float.
        threshold: a box goes when its IoU with a better one is larger.
        extent: see above.

    Returns:
        Indices kept, best score first; equal scores in their order.
    """
    if extent:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + extent], dim=1)
    result: Tensor = _nms(boxes, scores, threshold)
    return result


def nms_by_group(
    boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, extent: float = 0.0
) -> Tensor:
    """Suppression inside every group (class, pyramid level) on its own.

    Groups are visited one by one on the CPU, where suppression is quadratic in the
    number of boxes; elsewhere they are moved apart and suppressed in one call.

    Args:
        boxes: (N, 4) float.
        scores: (N,) float.
        groups: (N,) int64, the group of every box.
        threshold: a box goes when its IoU with a better one is larger.
        extent: see above.

    Returns:
        Indices kept, best score first; equal scores in their order.
    """
    if not len(boxes):
        return groups.new_empty(0)
    if boxes.is_cuda:
        apart = groups.to(boxes) * (boxes.max() + 1 + extent)
        return nms(boxes + apart[:, None], scores, threshold, extent)
    order = groups.argsort(stable=True)
    members = order.split(torch.unique_consecutive(groups[order], return_counts=True)[1].tolist())  # type: ignore[no-untyped-call]
    kept = torch.cat([m[nms(boxes[m], scores[m], threshold, extent)] for m in members])
    kept = kept.sort().values
    return kept[scores[kept].argsort(descending=True, stable=True)]
