"""2-D boxes as ``(x1, y1, x2, y2)`` arrays: what ``egolib.ops.boxes`` does for tensors.

N, M boxes. Results have the precision of the boxes that come in. Where boxes overlap nothing
and have no area, IoU is 0.

``extent`` is what a convention adds to ``x2 - x1`` for a width: 0, or 1 where x2 names
the last pixel inside ("legacy"). Sizes are (height, width) in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


def area(boxes: Floats, extent: float = 0.0) -> Floats:
    """Areas, (...), of boxes (..., 4); negative sides count as none.

    >>> area(np.array([[0.0, 0, 2, 3]])).tolist()
    [6.0]
    """
    x1, y1, x2, y2 = _corners(boxes)
    return np.maximum(x2 - x1 + extent, 0) * np.maximum(y2 - y1 + extent, 0)


def paired_intersection(boxes: Floats, others: Floats, extent: float = 0.0) -> Floats:
    """Shared areas, (...), of boxes (..., 4) with others (..., 4), one by one.

    Args:
        boxes: (..., 4), broadcast against ``others``.
        others: (..., 4).
        extent: see above.
    """
    ax1, ay1, ax2, ay2 = _corners(boxes)
    bx1, by1, bx2, by2 = _corners(others)
    width = np.minimum(ax2, bx2) - np.maximum(ax1, bx1) + extent
    height = np.minimum(ay2, by2) - np.maximum(ay1, by1) + extent
    return np.maximum(width, 0) * np.maximum(height, 0)


def paired_iou(boxes: Floats, others: Floats, extent: float = 0.0) -> Floats:
    """Intersection over union, (...), of boxes (..., 4) with others (..., 4), one by one.

    Args:
        boxes: (..., 4), broadcast against ``others``; NaN gives NaN.
        others: (..., 4).
        extent: see above.
    """
    shared = paired_intersection(boxes, others, extent)
    union = area(boxes, extent) + area(others, extent) - shared
    nothing = union == 0
    return np.where(nothing, 0, shared / np.where(nothing, 1, union))


def intersection(boxes: Floats, others: Floats, extent: float = 0.0) -> Floats:
    """Shared areas, (N, M).

    Args:
        boxes: (N, 4).
        others: (M, 4).
        extent: see above.
    """
    return paired_intersection(boxes[:, None], others[None], extent)


def iou(boxes: Floats, others: Floats, extent: float = 0.0) -> Floats:
    """Intersection over union, (N, M).

    Args:
        boxes: (N, 4).
        others: (M, 4).
        extent: see above.
    """
    return paired_iou(boxes[:, None], others[None], extent)


def clip(boxes: Floats, size: tuple[int, int], extent: float = 0.0) -> Floats:
    """Boxes with corners moved into [0, width - extent] x [0, height - extent].

    Args:
        boxes: (..., 4).
        size: (height, width).
        extent: see above.
    """
    height, width = size
    x1, y1, x2, y2 = _corners(boxes)
    x = [np.clip(value, 0, width - extent) for value in (x1, x2)]
    y = [np.clip(value, 0, height - extent) for value in (y1, y2)]
    return np.stack([x[0], y[0], x[1], y[1]], axis=-1)


def flip(boxes: Floats, width: float, extent: float = 0.0) -> Floats:
    """Boxes of the image mirrored left to right.

    Args:
        boxes: (..., 4).
        width: of the image.
        extent: see above.
    """
    x1, y1, x2, y2 = _corners(boxes)
    return np.stack([width - extent - x2, y1, width - extent - x1, y2], axis=-1)


def has_area(boxes: Floats) -> NDArray[np.bool_]:
    """Mask, (...), of boxes with x2 > x1 and y2 > y1."""
    x1, y1, x2, y2 = _corners(boxes)
    return np.asarray((x2 > x1) & (y2 > y1))


def from_xywh(boxes_xywh: Floats) -> Floats:
    """(x, y, width, height) as (x1, y1, x2, y2)."""
    low = boxes_xywh[..., :2]
    return np.concatenate([low, low + boxes_xywh[..., 2:]], axis=-1)


def to_xywh(boxes: Floats) -> Floats:
    """(x1, y1, x2, y2) as (x, y, width, height)."""
    low = boxes[..., :2]
    return np.concatenate([low, boxes[..., 2:] - low], axis=-1)


def _corners(boxes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]
