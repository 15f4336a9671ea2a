"""Anchors on the time axis, and the coder between an anchor and a moment.

A anchors. Boxes are (start, end) in features; their length is end - start + 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

CENTER_WEIGHT, LENGTH_WEIGHT = 10.0, 5.0
LARGEST_GROWTH = math.log(1000 / 16)  # 62.5 anchor lengths


def make_anchors(level_lengths: Sequence[int], scales: Sequence[float]) -> Tensor:
    """(A, 2) float32 anchors: level (fine to coarse), position, scale.

    The anchor of scale q at position i of level l has the centre (i + 1/2) * 2^l and the
    length q * 2^l.

    Args:
        level_lengths: positions of each level, fine to coarse.
        scales: anchor lengths in strides of the level.
    """
    levels = []
    for level, positions in enumerate(level_lengths):
        stride = 2.0**level
        center = (torch.arange(positions, dtype=torch.float32) + 0.5) * stride
        half = (torch.tensor(scales, dtype=torch.float32) * stride - 1) / 2
        start, end = center[:, None] - half, center[:, None] + half  # positions, scales
        levels.append(torch.stack([start, end], -1).reshape(-1, 2))
    return torch.cat(levels)


def encode(boxes: Tensor, truths: Tensor) -> Tensor:
    """Offsets (..., 2) that turn boxes (..., 2) into truths (..., 2).

    Shift of the centre in box lengths times 10, logarithm of the change of length times 5
    (a truth that ends more than 1 before its start gives NaN).
    """
    length, truth_length = _length(boxes), _length(truths)
    shift = CENTER_WEIGHT * (truths.mean(-1) - boxes.mean(-1)) / length
    growth = LENGTH_WEIGHT * torch.log(truth_length / length)
    return torch.stack([shift, growth], -1)


def decode(boxes: Tensor, offsets: Tensor) -> Tensor:
    """The inverse of ``encode``; a box grows to at most 62.5 times its length."""
    length = _length(boxes)
    center = boxes.mean(-1) + offsets[..., 0] / CENTER_WEIGHT * length
    growth = (offsets[..., 1] / LENGTH_WEIGHT).clamp(max=LARGEST_GROWTH)
    half = (growth.exp() * length - 1) / 2
    return torch.stack([center - half, center + half], -1)


def _length(boxes: Tensor) -> Tensor:
    return boxes[..., 1] - boxes[..., 0] + 1
