"""Random views of training frames and references, in detectron2's order and rounding.

Legend: H, W image size. Images are HWC uint8, boxes (x1, y1, x2, y2).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from egolib.vq2d.config import AugmentConfig


@dataclass(frozen=True)
class View:
    """An image and where its boxes went.

    Args:
        image: (H, W, 3) uint8.
        boxes_xyxy: (n, 4) float64.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray


def frame_view(view: View, config: AugmentConfig, rng: np.random.Generator) -> View:
    """A training frame: resized, perhaps mirrored, brighter or darker.

    Args:
        view: the stored image.
        config: of the augmentation.
        rng: every random choice comes from it.
    """
    view = random_resize(view, config, rng)
    view = random_flip(view, config, rng)
    return clipped(random_brightness(view, config, rng))


def reference_view(view: View, config: AugmentConfig, rng: np.random.Generator) -> View:
    """The frame of a reference: the same, and turned.

    Args:
        view: the stored image.
        config: of the augmentation.
        rng: every random choice comes from it.
    """
    view = random_resize(view, config, rng)
    view = random_flip(view, config, rng)
    view = rotated(view, rng.uniform(*config.rotation))
    return clipped(random_brightness(view, config, rng))


def random_resize(view: View, config: AugmentConfig, rng: np.random.Generator) -> View:
    """Shortest side drawn from a list, unless the longest gets too long.

    Args:
        view: the image.
        config: of the augmentation.
        rng: draws the side.
    """
    return resized(view, int(rng.choice(config.short_sides)), config.long_side)


def resized(view: View, shortest: int, longest: int) -> View:
    """PIL bilinear, sizes rounded half up.

    Args:
        view: the image.
        shortest: wanted shortest side in pixels.
        longest: limit of the longest side.
    """
    height, width = view.image.shape[:2]
    scale = shortest / min(height, width)
    scale = min(scale, longest / max(height, width))
    size = int(width * scale + 0.5), int(height * scale + 0.5)
    image = np.asarray(Image.fromarray(view.image).resize(size, Image.Resampling.BILINEAR))
    return View(image, view.boxes_xyxy * np.tile([size[0] / width, size[1] / height], 2))


def random_flip(view: View, config: AugmentConfig, rng: np.random.Generator) -> View:
    """Mirrored left to right with a given probability.

    Args:
        view: the image.
        config: of the augmentation.
        rng: decides.
    """
    if rng.random() >= config.flip:
        return view
    width = view.image.shape[1]
    x1, y1, x2, y2 = view.boxes_xyxy.T
    return View(view.image[:, ::-1], np.stack([width - x2, y1, width - x1, y2], axis=1))


def random_brightness(view: View, config: AugmentConfig, rng: np.random.Generator) -> View:
    """Grey levels times a random factor, clipped, truncated.

    Args:
        view: the image.
        config: of the augmentation.
        rng: draws the factor.
    """
    bright = view.image.astype(np.float32) * np.float32(rng.uniform(*config.brightness))
    return View(np.clip(bright, 0, 255).astype(np.uint8), view.boxes_xyxy)


def rotated(view: View, degrees: float) -> View:
    """Turned about the middle, the canvas enlarged to hold all; boxes become hulls."""
    if degrees % 360 == 0:
        return view
    height, width = view.image.shape[:2]
    turn = np.deg2rad(degrees)
    cosine, sine = abs(np.cos(turn)), abs(np.sin(turn))
    size = np.rint([height * sine + width * cosine, height * cosine + width * sine]).astype(int)
    of_points = _rotation(degrees, (width, height), size, 0.0)
    of_pixels = _rotation(degrees, (width, height), size, -0.5)  # pixel centres
    image = cv2.warpAffine(view.image, of_pixels, tuple(int(side) for side in size))
    return View(image, _hulls(view.boxes_xyxy, of_points))


def _rotation(
    degrees: float, size: tuple[int, int], new_size: np.ndarray, offset: float
) -> np.ndarray:
    """(2, 3) that turns about the old middle and puts it into the new one."""
    middle = np.array(size) / 2 + offset
    matrix = cv2.getRotationMatrix2D((middle[0], middle[1]), degrees, 1)
    turn = np.asarray(matrix[:, :2], np.float64)
    shift = new_size / 2 + offset - turn @ middle
    return np.concatenate([turn, shift[:, None]], axis=1)


def _hulls(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(n, 4) axis-parallel boxes around turned ones."""
    corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1).reshape(-1, 4)


def clipped(view: View) -> View:
    """Boxes cut at the image's border."""
    height, width = view.image.shape[:2]
    boxes = np.clip(view.boxes_xyxy, 0, None)
    return View(view.image, np.minimum(boxes, [width, height, width, height]))


def masked(
    image: np.ndarray, fraction: float, rng: np.random.Generator, cell: int = 32
) -> np.ndarray:
    """An image with a fraction of its square cells filled with the mean BGR colour.

    Args:
        image: (3, H, W) BGR.
        fraction: of the cells.
        rng: chooses them.
        cell: side of a cell in pixels.
    """
    rows, columns = -(-image.shape[1] // cell), -(-image.shape[2] // cell)
    hidden = np.zeros(rows * columns, bool)
    hidden[rng.permutation(rows * columns)[: int(fraction * rows * columns)]] = True
    grid = np.kron(hidden.reshape(rows, columns), np.ones((cell, cell), bool))
    mask = grid[: image.shape[1], : image.shape[2]]
    mean = np.array([103.53, 116.28, 123.675]).reshape(3, 1)
    result = image.copy()
    result[:, mask] = mean.astype(image.dtype)
    return result
