"""Training data of the Siamese R-CNN: samples with images, as the engine asks for them.

Legend: B samples of a batch, n boxes of a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from egolib.errors import EgolibError
from egolib.video.images import read_image
from egolib.vq2d.config import AugmentConfig
from egolib.vq2d.data.augment import View, frame_view, masked, reference_view, resized
from egolib.vq2d.data.crop import crop_window
from egolib.vq2d.data.resize import resize_to
from egolib.vq2d.data.samples import BoxedImage, Sample


class Item(NamedTuple):
    """One sample, ready for the network.

    Args:
        frame: (3, H, W) uint8 BGR.
        boxes: (n, 4) float32, the object; none in a negative frame.
        reference: (3, S, S) uint8 BGR, S = 256 as published.
        without_object: train on this frame's background only.
        seed: of the draw of regions.
    """

    frame: Tensor
    boxes: Tensor
    reference: Tensor
    without_object: bool
    seed: int


class TrainingBatch(NamedTuple):
    """Several samples; frames of unequal size."""

    frames: list[Tensor]
    boxes: list[Tensor]
    references: Tensor
    without_object: list[bool]
    seeds: list[int]


class TrainingSet:
    """Samples of a list, with random views.

    Args:
        samples: of ``data.samples.build_samples``.
        images: the folder that their names refer to.
        config: augmentation; None resizes to the test's size and changes nothing else.
        test_sides: shortest and longest side without augmentation.
        reference: side of the pictures of the object, and the margin around it in pixels.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        images: str | Path,
        config: AugmentConfig | None,
        test_sides: tuple[int, int] = (800, 1333),
        reference: tuple[int, int] = (256, 16),
    ):
        if not samples:
            raise EgolibError(
                "no training samples",
                file=images,
                remedy="store the images first (1_data), and check the suffix of their names",
            )
        self.samples, self.images, self.config = list(samples), Path(images), config
        self.test_sides, self.reference = test_sides, reference

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, index: int, rng: np.random.Generator) -> Item:
        """One item; every random choice comes from ``rng``."""
        sample, config = self.samples[index], self.config
        frame, reference = self._load(sample.frame), self._load(sample.reference)
        if config is None:
            frame = resized(frame, *self.test_sides)
        else:
            frame = frame_view(frame, config, rng)
            reference = (
                reference_view(reference, config, rng) if config.reference_views else reference
            )
        side, margin = self.reference
        crop = crop_window(reference.image, reference.boxes_xyxy[0], margin=margin, side=side)
        crop = crop.to(torch.uint8)
        image = np.ascontiguousarray(frame.image.transpose(2, 0, 1))
        if config is not None and config.masked_fraction > 0:
            image = masked(image, config.masked_fraction, rng)
            crop = torch.from_numpy(masked(crop.numpy(), config.masked_fraction, rng))
        removed = config is not None and bool(rng.random() < config.object_removed)
        boxes = torch.from_numpy(frame.boxes_xyxy.astype(np.float32))
        seed = int(rng.integers(2**31))
        return Item(torch.from_numpy(image), boxes, crop, removed, seed)

    def collate(self, items: list[Item]) -> TrainingBatch:
        """A batch of items."""
        frames, boxes, references, removed, seeds = (
            list(part) for part in zip(*items, strict=True)
        )
        return TrainingBatch(frames, boxes, torch.stack(references), removed, seeds)

    def _load(self, boxed: BoxedImage) -> View:
        """The image in BGR and annotated size, with its box if it has one."""
        image = read_image(self.images / boxed.file)[:, :, ::-1]
        if boxed.resize:
            image = resize_to(np.ascontiguousarray(image), boxed.size)
        boxes = [] if boxed.box_xyxy is None else [boxed.box_xyxy]
        return View(np.ascontiguousarray(image), np.array(boxes, np.float64).reshape(-1, 4))


def stored_sizes(images: str | Path) -> Callable[[str], tuple[int, int] | None]:
    """Looks up (width, height) of stored images by name; None where there is none.

    For ``data.samples.build_samples``. Only file headers are read.
    """
    folder = Path(images)

    @cache
    def size(name: str) -> tuple[int, int] | None:
        path = folder / name
        if not path.is_file():
            return None
        try:
            with Image.open(path) as image:
                return image.size
        except OSError as error:
            raise EgolibError(f"not a readable image: {error}", file=path) from error

    return size
