"""From pictures to the network's input.

Legend: F frames, H height, W width, S side of the input. Pictures come as
(F, H, W, 3) uint8; results are (F, 3, S, S) float32, normalised.

Official behaviour: tensors are resized without smoothing (torchvision 0.14), as
``antialias=False`` does today.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

#: ``ego4d`` resizes, crops and resizes again; ``epic`` resizes and crops.
Test = Literal["ego4d", "epic"]


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, perhaps mirrored: one for all frames of a clip."""

    top: int
    left: int
    height: int
    width: int
    flip: bool = False

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def as_tensor(images: np.ndarray) -> Tensor:
    """(F, 3, H, W) float32 between 0 and 1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def normalise(video: Tensor) -> Tensor:
    """Minus ImageNet's mean, over its standard deviation; works in place."""
    mean, std = (torch.tensor(v, device=video.device)[:, None, None] for v in (MEAN, STD))
    return video.sub_(mean).div_(std)


def resize(video: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, without smoothing: (F, 3, height, width).

    Args:
        video: (F, 3, H, W) float.
        height: in pixels, of the result.
        width: in pixels, of the result.
    """
    if tuple(video.shape[-2:]) == (height, width):
        return video
    return F.interpolate(video, (height, width), mode="bilinear", align_corners=False)


def resize_short_side(video: Tensor, side: int) -> Tensor:
    """The shorter side becomes ``side``, the other proportional and rounded down."""
    height, width = video.shape[-2:]
    long = int(side * max(height, width) / min(height, width))
    return resize(video, *((side, long) if height <= width else (long, side)))


def centre_crop(video: Tensor, side: int) -> Tensor:
    """The middle square; smaller pictures are padded with zeros first."""
    height, width = video.shape[-2:]
    if height < side or width < side:
        over_height, over_width = max(side - height, 0), max(side - width, 0)
        padding = (
            over_width // 2, (over_width + 1) // 2, over_height // 2, (over_height + 1) // 2
        )  # fmt: skip
        video = F.pad(video, padding)
        height, width = video.shape[-2:]
    top, left = round((height - side) / 2), round((width - side) / 2)
    return video[..., top : top + side, left : left + side]


def test_view(video: Tensor, side: int = 224, kind: Test = "ego4d") -> Tensor:
    """The evaluation view, normalised: (F, 3, S, S) of pictures between 0 and 1.

    Args:
        video: (F, 3, H, W).
        side: S; ``ego4d`` goes through a square of 8 / 7 of it (256 for 224).
        kind: ``ego4d`` or ``epic``.
    """
    if kind == "epic":
        return normalise(centre_crop(resize_short_side(video, side), side).clone())
    inner = round(side * 8 / 7)
    square = centre_crop(resize_short_side(video, inner), inner)
    return normalise(resize(square, side, side).clone())


def random_crop(
    height: int,
    width: int,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.5, 1.0),
    flip: float = 0.5,
) -> Crop:
    """A random part of a picture: area within ``scale``, sides within 3:4 and 4:3.

    After ten draws that do not fit, the largest central part of an allowed shape.

    Args:
        height: of the picture.
        width: of the picture.
        rng: draws.
        scale: fraction of the area at least, at most.
        flip: probability of mirroring; 0 for EPIC-KITCHENS.
    """
    low, high = math.log(3 / 4), math.log(4 / 3)
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(low, high))
        crop_width, crop_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(rng.integers(0, height - crop_height + 1))
            left = int(rng.integers(0, width - crop_width + 1))
            return Crop(top, left, crop_height, crop_width, bool(rng.random() < flip))
    crop_height = min(height, round(width / (3 / 4)))
    crop_width = min(width, round(height * (4 / 3)))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return Crop(top, left, crop_height, crop_width, bool(rng.random() < flip))


def train_view(video: Tensor, crop: Crop, side: int = 224) -> Tensor:
    """A crop of all frames, resized and normalised: (F, 3, S, S).

    Args:
        video: (F, 3, H, W) float between 0 and 1.
        crop: rectangle in pixels of the video, the same for all frames.
        side: S.
    """
    part = resize(video[(..., *crop.slices)], side, side)
    return normalise(part.flip(-1) if crop.flip else part.clone())
