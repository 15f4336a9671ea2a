"""From decoded images to network inputs, for testing and with augmentation for training.

H, W rows and columns of pixels. Images are (H, W, 3) uint8, BGR as OpenCV decodes them.
Random draws come from ``numpy.random.RandomState``, in the order of the published code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from egolib.ops import boxes_numpy as bx
from egolib.vod.config.data import PipelineConfig

Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Sample:
    """An image on its way, with its objects.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: (G, 4) float32 in pixels of ``image``.
        labels: (G,) int64.
        scale: (4,) float32 pixels of ``image`` per pixel before the last resize.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scale: np.ndarray

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Prepared:
    """A network input: pixels (3, H, W) float32 with padding, the size without, and what
    ``Sample`` says."""

    pixels: np.ndarray
    size: Size
    boxes: np.ndarray
    labels: np.ndarray
    scale: np.ndarray


def make_sample(
    image: np.ndarray, boxes: np.ndarray | None = None, labels: np.ndarray | None = None
) -> Sample:
    """A sample at its original size.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: (G, 4) in pixels; None for none.
        labels: (G,); None for zeros.
    """
    boxes = np.zeros((0, 4)) if boxes is None else boxes
    labels = np.zeros(len(boxes)) if labels is None else labels
    one = np.ones(4, np.float32)
    return Sample(image, np.asarray(boxes, np.float32), np.asarray(labels, np.int64), one)


# ------------------------------------------------------------------- whole pipelines


def prepare(image: np.ndarray, config: PipelineConfig) -> Prepared:
    """A test image (H, W, 3) uint8 BGR as network input."""
    return finish(resize_to_fit(make_sample(image), config), config)


def prepare_clip(
    samples: list[Sample], config: PipelineConfig, rng: np.random.RandomState
) -> list[Prepared]:
    """The frames of a training clip with one augmentation.

    Args:
        samples: key frame first.
        config: of the preparation.
        rng: of all draws.
    """
    if config.augmentation == "crops":
        samples = _flip_some(samples, config, rng)
        samples = _scale_and_crop(samples, config, rng)
    else:
        samples = [resize_to_fit(s, config) for s in samples]
        samples = _flip_some(samples, config, rng)
    return [finish(s, config) for s in samples]


def finish(sample: Sample, config: PipelineConfig) -> Prepared:
    """Normalises and pads."""
    pixels = _in_channels(sample.image, config.channels).astype(np.float32)
    pixels -= np.asarray(config.mean, np.float32)
    pixels *= 1 / np.asarray(config.std, np.float32)
    height, width = sample.size
    padded = np.zeros((3, _up(height, config.divisor), _up(width, config.divisor)), np.float32)
    padded[:, :height, :width] = pixels.transpose(2, 0, 1)
    return Prepared(padded, sample.size, sample.boxes, sample.labels, sample.scale)


def _in_channels(image: np.ndarray, channels: str) -> np.ndarray:
    """An image (H, W, 3) BGR in the network's channels."""
    if channels == "grey":
        brightness = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY)
        return np.repeat(brightness[..., None], 3, axis=2)
    return image if channels == "bgr" else image[..., ::-1]


# ----------------------------------------------------------------------------- steps


def fitted_size(size: Size, long: int, short: int) -> Size:
    """(height, width) after scaling to fit, each side rounded up from a half.

    Args:
        size: as it is.
        long: longer side of the frame that it must fit into.
        short: shorter side of that frame.

    >>> fitted_size((720, 1280), 1000, 600)
    (563, 1000)
    """
    factor = min(long / max(size), short / min(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def fitted_size_pillow(size: Size, long: int, short: int) -> Size:
    """The same in maskrcnn-benchmark: the short side is rounded, the long one truncated.

    Args:
        size: as it is.
        long: longer side of the frame that it must fit into.
        short: shorter side of that frame.

    >>> fitted_size_pillow((720, 1280), 1000, 600)
    (562, 999)
    """
    small, large = min(size), max(size)
    target = short
    if target * large / small > long:
        target = round(long * small / large)
    if small == target:
        return size
    other = int(target * large / small)
    return (target, other) if size[0] < size[1] else (other, target)


def resize_to_fit(
    sample: Sample, config: PipelineConfig, long: int | None = None, short: int | None = None
) -> Sample:
    """A sample scaled to fit, the boxes with it; the earlier scale is forgotten.

    Args:
        sample: as it is.
        config: how images are resized.
        long: longer side of the frame that it must fit into; None for the configuration's.
        short: shorter side of that frame, as above.
    """
    long, short = long or config.long_side, short or config.short_side
    if config.interpolation == "pillow":
        size = fitted_size_pillow(sample.size, long, short)
        turned = Image.fromarray(np.ascontiguousarray(sample.image))
        resized = turned.resize(size[::-1], Image.Resampling.BILINEAR)
        image = np.asarray(resized)
    else:
        size = fitted_size(sample.size, long, short)
        image = cv2.resize(sample.image, size[::-1], interpolation=cv2.INTER_LINEAR)
    factors = np.array([size[1] / sample.size[1], size[0] / sample.size[0]] * 2, np.float32)
    boxes = bx.clip(sample.boxes * factors, size, config.extent).astype(np.float32)
    return replace(sample, image=image, boxes=boxes, scale=factors)


def flip(sample: Sample, extent: float = 0.0) -> Sample:
    """A sample mirrored left to right."""
    boxes = bx.flip(sample.boxes, sample.size[1], extent).astype(np.float32)
    return replace(sample, image=sample.image[:, ::-1], boxes=boxes)


def crop(sample: Sample, top: int, left: int, size: Size) -> Sample:
    """A part of a sample; objects outside it are dropped.

    Args:
        sample: as it is.
        top: first row of the part.
        left: first column of it.
        size: (height, width) of it.
    """
    height, width = size
    image = sample.image[top : top + height, left : left + width]
    offset = np.array([left, top, left, top], np.float32)
    boxes = bx.clip(sample.boxes - offset, (image.shape[0], image.shape[1])).astype(np.float32)
    kept = bx.has_area(boxes)
    return replace(sample, image=image, boxes=boxes[kept], labels=sample.labels[kept])


def pad_image(sample: Sample, size: Size) -> Sample:
    """A sample with black pixels added on the right and at the bottom."""
    height, width = sample.size
    padding = ((0, size[0] - height), (0, size[1] - width), (0, 0))
    return replace(sample, image=np.pad(sample.image, padding))


# --------------------------------------------------------------------- augmentation


def _flip_some(
    samples: list[Sample], config: PipelineConfig, rng: np.random.RandomState
) -> list[Sample]:
    """All frames mirrored, or none."""
    mirrored = rng.choice(2, p=[config.flip, 1 - config.flip]) == 0
    return [flip(s, config.extent) for s in samples] if mirrored else samples


def _scale_and_crop(
    samples: list[Sample], config: PipelineConfig, rng: np.random.RandomState
) -> list[Sample]:
    """A random short side; with a chance of one half on a random crop of a smaller image."""
    if rng.choice(2) == 1:
        short = config.crop_short_sides[rng.randint(len(config.crop_short_sides))]
        samples = [resize_to_fit(s, config, config.augmented_long_side, short) for s in samples]
        samples = _crop_all(samples, config, rng)
    short = config.short_sides[rng.randint(len(config.short_sides))]
    return [resize_to_fit(s, config, config.augmented_long_side, short) for s in samples]


def _crop_all(
    samples: list[Sample], config: PipelineConfig, rng: np.random.RandomState
) -> list[Sample]:
    """Every frame cropped, then padded to the largest of them."""
    if config.crop_draws == "shared":
        drawn = [_draw_crop(samples[0].size, config, rng)] * len(samples)
    else:
        drawn = [_draw_crop(s.size, config, rng) for s in samples]
    cut = [crop(s, *place) for s, place in zip(samples, drawn, strict=True)]
    common = max(s.size[0] for s in cut), max(s.size[1] for s in cut)
    return [pad_image(s, common) for s in cut]


def _draw_crop(
    size: Size, config: PipelineConfig, rng: np.random.RandomState
) -> tuple[int, int, Size]:
    """Top, left and size of a crop."""
    low, high = config.crop
    height, width = (int(rng.randint(min(s, low), min(s, high) + 1)) for s in size)
    top = int(rng.randint(0, size[0] - height + 1))
    left = int(rng.randint(0, size[1] - width + 1))
    return top, left, (height, width)


def _up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor
