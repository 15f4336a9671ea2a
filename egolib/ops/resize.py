"""Bilinear resizing of 8-bit images on any device, equal to OpenCV's and Pillow's to the bit.

Both libraries resize with integer weights along one axis and then along the other. The same
integers are computed here with tensor operations, so that a GPU gives the pixels that the
official code's libraries give on the CPU.

Legend: B images, C channels, H, W size, n output cells of an axis, t taps of each.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

OPENCV_BITS = 11
PILLOW_BITS = 22


class Taps(NamedTuple):
    """Which input cells an output cell is a weighted sum of: places and weights, (n, t) int."""

    place: Tensor
    weight: Tensor

    def to(self, device: torch.device | str) -> Taps:
        """The same on a device."""
        return Taps(self.place.to(device), self.weight.to(device))

    def terms(self, image: Tensor, axis: int) -> list[Tensor]:
        """The t weighted parts, int32, of an image (B, C, H, W) along an axis (2 or 3).

        Args:
            image: uint8 or int32.
            axis: that gets n cells.
        """
        shape = (-1, 1) if axis == 2 else (-1,)
        return [
            image.index_select(axis, place).int() * weight.reshape(shape)
            for place, weight in zip(self.place.T, self.weight.T, strict=True)
        ]


# --------------------------------------------------------------------------- OpenCV


def opencv_taps(cells: int, outputs: int, scale: float, axis: Literal["rows", "columns"]) -> Taps:
    """Two taps with 11-bit weights: ``cv2.resize`` with ``INTER_LINEAR``.

    Args:
        cells: of the input's axis.
        outputs: n.
        scale: input cells per output cell.
        axis: beyond the border one column is taken whole, but a row is mixed with itself,
            which rounds otherwise.
    """
    place = ((np.arange(outputs) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    fraction = place - first.astype(np.float32)
    if axis == "columns":
        fraction = np.where((first < 0) | (first >= cells - 1), np.float32(0), fraction)
        first = first.clip(0, cells - 1)
    weights = np.stack([1 - fraction, fraction], 1) * np.float32(1 << OPENCV_BITS)
    index = np.stack([first, first + 1], 1).clip(0, cells - 1)
    return Taps(torch.from_numpy(index), torch.from_numpy(np.rint(weights).astype(np.int32)))


def opencv_bilinear(images: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """(B, C, n, m) uint8 as ``cv2.resize`` gives it.

    Args:
        images: (B, C, H, W) uint8.
        rows: ``opencv_taps`` of the vertical axis.
        columns: of the horizontal axis.
    """
    left, right = columns.terms(images, 3)
    across = (left + right) >> 4
    top, bottom = rows.terms(across, 2)
    total = ((top >> 16) + (bottom >> 16) + 2) >> 2
    return total.clamp_(0, 255).to(torch.uint8)


# --------------------------------------------------------------------------- Pillow


def pillow_taps(cells: int, outputs: int) -> Taps:
    """Taps with 22-bit weights: ``Image.resize`` with ``BILINEAR``, which widens its hat where
    the image shrinks.

    Args:
        cells: of the input's axis.
        outputs: n.
    """
    scale = cells / outputs
    reach = max(scale, 1.0)
    width = math.ceil(reach) * 2 + 1
    index = np.zeros((outputs, width), np.int64)
    weight = np.zeros((outputs, width), np.int32)
    for output in range(outputs):
        centre = (output + 0.5) * scale
        low = max(int(centre - reach + 0.5), 0)
        places = np.arange(low, min(int(centre + reach + 0.5), cells))
        hats = np.maximum(1 - np.abs((places - centre + 0.5) / reach), 0)
        hats = hats / sum(hats.tolist())  # summed in order, as Pillow does
        index[output, : len(places)] = places
        weight[output, : len(places)] = (hats * (1 << PILLOW_BITS) + 0.5).astype(np.int32)
    used = int(np.flatnonzero(weight.any(axis=0)).max()) + 1
    return Taps(torch.from_numpy(index[:, :used]), torch.from_numpy(weight[:, :used]))


def pillow_bilinear(images: Tensor, rows: Taps | None, columns: Taps | None) -> Tensor:
    """(B, C, n, m) uint8 as Pillow's ``BILINEAR`` gives it: across, rounded, then down.

    Args:
        images: (B, C, H, W) uint8.
        rows: ``pillow_taps`` of the vertical axis; None where it keeps its cells.
        columns: of the horizontal axis; None where it keeps its cells.
    """
    for taps, axis in ((columns, 3), (rows, 2)):
        if taps is None:
            continue
        total = functools.reduce(torch.add, taps.terms(images, axis)) + (1 << (PILLOW_BITS - 1))
        images = (total >> PILLOW_BITS).clamp_(0, 255).to(torch.uint8)
    return images
