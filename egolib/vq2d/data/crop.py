"""The visual crop: the picture of the object as the network gets it.

Legend: H, W frame size; S side of the crop (256).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from egolib.vq2d.data.resize import resize_to

MARGIN = 16
"""Pixels of context on each side of the box."""
PAD_VALUE = 125.0
"""Grey level of what squares the window."""
SIDE = 256


def crop_window(
    image: np.ndarray,
    box_xyxy: Sequence[float],
    *,
    margin: int = MARGIN,
    pad_value: float = PAD_VALUE,
    side: int = SIDE,
) -> Tensor:
    """A square window around a box, (3, S, S) float32, values as in the image.

    The corners are truncated to integers, widened by the margin, clipped to the
    image; the short side is padded on both sides and the square resized.

    Args:
        image: (H, W, 3) uint8, of the annotated size; the channel order is kept.
        box_xyxy: corners in pixels.
        margin: pixels around the box.
        pad_value: grey level of the square's borders.
        side: of the result in pixels.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (int(value) for value in box_xyxy)
    x1, y1 = max(x1 - margin, 0), max(y1 - margin, 0)
    x2, y2 = min(x2 + margin, width), min(y2 + margin, height)
    window = torch.from_numpy(np.ascontiguousarray(image[y1:y2, x1:x2])).float().permute(2, 0, 1)
    square = functional.pad(window, _square_padding(window), value=pad_value)
    resized = functional.interpolate(square[None], (side, side), mode="bilinear")
    return resized[0]  # (3, S, S)


def reference_crop(
    frame: np.ndarray,
    box_xyxy: Sequence[float],
    size: tuple[int, int],
    side: int = SIDE,
    margin: int = MARGIN,
) -> Tensor:
    """The reference of a query, (3, S, S) uint8: resized frame, window, truncation.

    Args:
        frame: (H, W, 3) uint8, any size.
        box_xyxy: corners in pixels of the annotated frame.
        size: width and height of the annotated frame.
        side: of the result in pixels.
        margin: pixels around the box.
    """
    image = resize_to(frame, size)
    return crop_window(image, box_xyxy, margin=margin, side=side).to(torch.uint8)


def _square_padding(window: Tensor) -> tuple[int, int, int, int]:
    """Left, right, top, bottom; left and top get the smaller half."""
    height, width = window.shape[-2:]
    across, down = max(height - width, 0), max(width - height, 0)
    return across // 2, across - across // 2, down // 2, down - down // 2
