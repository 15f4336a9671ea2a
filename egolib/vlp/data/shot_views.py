"""Frames of shots as network input.

Legend: B shots, F frames of a shot, S side of the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as images

from egolib.video.images import read_image
from egolib.vlp.data.transforms import MEAN, STD, as_tensor, test_view

#: ``official`` cuts every frame at random, ``test`` takes the middle of all.
ShotCrop = Literal["official", "test"]

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)

Box = tuple[int, int, int, int]


def random_box(width: int, height: int, generator: torch.Generator) -> Box:
    """Top, left, height and width of a random part of a picture, as torchvision draws it.

    Args:
        width: of the picture.
        height: of the picture.
        generator: its state moves on.
    """
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        picture = Image.new("L", (width, height))
        box: Box = RandomResizedCrop.get_params(picture, list(AREA), list(RATIO))
        generator.set_state(torch.get_rng_state())
    return box


def cut_view(image: np.ndarray, box: Box, side: int = 224) -> Tensor:
    """(3, S, S) float32 normalised part of a picture, resized as Pillow does it (bicubic).

    Args:
        image: (H, W, 3) uint8.
        box: top, left, height, width.
        side: S.
    """
    part = images.resized_crop(
        Image.fromarray(image), *box, [side, side], InterpolationMode.BICUBIC
    )
    view: Tensor = images.normalize(images.to_tensor(part), list(MEAN), list(STD))
    return view


def shot_views(
    shots: Sequence[Sequence[Path]],
    side: int = 224,
    *,
    crop: ShotCrop = "official",
    seed: int = 0,
    batch: int = 8,
) -> Iterator[Tensor]:
    """Batches (B, F, 3, S, S) of shots, in order.

    Official behaviour: every frame of a shot is cut at random by itself, and no generator
    is seeded, so that features differ from run to run.

    Args:
        shots: the files of the frames of each shot.
        side: S.
        crop: ``test`` takes the evaluation view.
        seed: of random crops.
        batch: shots of a batch at most.

    Raises:
        EgolibError: a frame is missing or damaged.
    """
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, len(shots), batch):
        part = shots[start : start + batch]
        yield torch.stack([_shot(files, side, crop, generator) for files in part])


def _shot(files: Sequence[Path], side: int, crop: ShotCrop, generator: torch.Generator) -> Tensor:
    pictures = [read_image(file) for file in files]
    if crop == "test":
        return torch.cat([test_view(as_tensor(p[None].copy()), side) for p in pictures])
    return torch.stack(
        [cut_view(p, random_box(p.shape[1], p.shape[0], generator), side) for p in pictures]
    )
