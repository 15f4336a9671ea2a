"""Square crops around the target, and the transformed copies of the first one.

Legend: H, W image size; h, w crop size. Positions and sizes are (row, column) pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[float, float]


@dataclass(frozen=True)
class Patch:
    """A crop and where it came from.

    Args:
        image: (3, h, w) float, 0 to 255.
        corners: rows and columns (top, left, bottom, right) in the image, ends exclusive.
    """

    image: Tensor
    corners: tuple[int, int, int, int]

    @property
    def centre(self) -> np.ndarray:
        """(2,) float32, position of the crop's middle."""
        top, left, bottom, right = self.corners
        return np.array([(top + bottom - 1) / 2, (left + right - 1) / 2], np.float32)

    @property
    def scale(self) -> float:
        """Image pixels per crop pixel."""
        top, left, bottom, right = self.corners
        height, width = self.image.shape[-2:]
        return math.sqrt((bottom - top) / height * ((right - left) / width))


def cut_patch(
    frame: np.ndarray,
    position: Sequence[float] | np.ndarray,
    size: Sequence[float],
    output: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Patch:
    """The part of a frame around a position, resized; the frame's border is repeated outside.

    Args:
        frame: (H, W, 3) uint8.
        position: (row, column) of the centre; truncated.
        size: (rows, columns) of the part, in image pixels.
        output: (h, w) of the crop.
        device: of the result.

    Large parts are first thinned to every n-th pixel.
    """
    return cut_patches([frame], [position], [size], output, device)[0]


def cut_patches(
    frames: Sequence[np.ndarray],
    positions: Sequence[Sequence[float] | np.ndarray],
    sizes: Sequence[Sequence[float]],
    output: tuple[int, int],
    device: torch.device | str = "cpu",
) -> list[Patch]:
    """A part of each of several frames; all pixels go to the device in one copy.

    Args:
        frames: (H, W, 3) uint8 each.
        positions: (row, column) of each part's centre.
        sizes: (rows, columns) of each part, in image pixels.
        output: (h, w) of all crops.
        device: of the results.
    """
    parts, corners = zip(
        *(_part(*each, output) for each in zip(frames, positions, sizes, strict=True)),
        strict=True,
    )
    images = []
    for part in _on_device(parts, torch.device(device)):
        image = part.permute(2, 0, 1).float()
        if image.shape[-2:] != tuple(output):
            image = functional.interpolate(image[None], tuple(output), mode="bilinear")[0]
        images.append(image)
    return [Patch(*each) for each in zip(images, corners, strict=True)]


def _part(
    frame: np.ndarray,
    position: Sequence[float] | np.ndarray,
    size: Sequence[float],
    output: tuple[int, int],
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The pixels (h', w', 3) of a part, and its corners (top, left, bottom, right)."""
    step = max(int(min(size[0] / output[0], size[1] / output[1]) - 0.1), 1)
    spans = [
        _span(int(p), s / step, step, length)
        for p, s, length in zip(position, size, frame.shape[:2], strict=True)
    ]
    (rows, top, bottom), (columns, left, right) = spans
    return frame[rows[:, None], columns], (top, left, bottom, right)


def _on_device(parts: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """The parts as tensors; in one copy from pinned memory where the device is a GPU."""
    if device.type == "cpu":
        return [torch.from_numpy(part) for part in parts]
    flat = torch.from_numpy(np.concatenate([part.ravel() for part in parts])).pin_memory()
    pieces = torch.split(flat.to(device, non_blocking=True), [part.size for part in parts])
    return [piece.reshape(part.shape) for piece, part in zip(pieces, parts, strict=True)]


def _span(centre: int, size: float, step: int, length: int) -> tuple[np.ndarray, int, int]:
    """Pixel indices along one axis, and the part's start and end in image pixels."""
    offset = centre % step
    centre = (centre - offset) // step
    count = max(round(size), 2)
    low, high = centre - (count - 1) // 2, centre + count // 2 + 1
    last = (length - offset + step - 1) // step - 1  # of the thinned axis
    indices = offset + step * np.clip(np.arange(low, high), 0, last)
    return indices, step * low, step * high


# ------------------------------------------------------------------- augmentation


def shift_crop(image: Tensor, shift: tuple[int, int], output: tuple[int, int]) -> Tensor:
    """The middle (3, h, w) of a larger image after its content moved by (rows, columns).

    Args:
        image: (3, H, W).
        shift: (rows, columns) in pixels.
        output: (height, width) of the result.
    """
    pads = []
    for axis in (1, 0):  # functional.pad counts from the last axis
        pad = (output[axis] - image.shape[1 + axis]) / 2
        pads += [math.floor(pad) + shift[axis], math.ceil(pad) - shift[axis]]
    return functional.pad(image[None], pads, mode="replicate")[0]


def flip(image: Tensor) -> Tensor:
    """Mirrored left to right."""
    return image.flip(2)


def blur(image: Tensor, sigma: Pair) -> Tensor:
    """Gaussian blur with its own width along rows and columns, zeros outside."""
    vertical, horizontal = (_gauss(s).to(image) for s in sigma)
    x = image[:, None]  # (3, 1, h, w)
    x = functional.conv2d(x, vertical.reshape(1, 1, -1, 1), padding=(len(vertical) // 2, 0))
    x = functional.conv2d(x, horizontal.reshape(1, 1, 1, -1), padding=(0, len(horizontal) // 2))
    return x[:, 0]


def rotate(image: Tensor, degrees: float) -> Tensor:
    """Rotation about the middle; the border is repeated."""
    rows, columns = image.shape[1:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    middle = (np.array([[rows], [columns]]) - 1) / 2
    matrix = np.concatenate([turn, middle - turn @ middle], axis=1)
    picture = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
    turned = cv2.warpAffine(picture, matrix, (columns, rows), borderMode=cv2.BORDER_REPLICATE)
    return torch.from_numpy(turned).to(image).permute(2, 0, 1)


def _gauss(sigma: float) -> Tensor:
    radius = math.ceil(2 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    return kernel / kernel.sum()


@dataclass(frozen=True)
class FirstSamples:
    """Transformed copies of the first crop.

    Args:
        images: (n, 3, h, w).
        shifts: (n, 2) int, how far the target moved, (rows, columns).
    """

    images: Tensor
    shifts: np.ndarray


Change = Callable[[Tensor], Tensor]

TRANSLATIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1))
RANDOMLY_SHIFTED: tuple[Change, ...] = (
    flip,
    *(partial(blur, sigma=sigma) for sigma in ((3.0, 1.0), (1.0, 3.0), (2.0, 2.0))),
    *(partial(rotate, degrees=degrees) for degrees in (10.0, -10.0, 45.0, -45.0)),
)


def first_samples(
    image: Tensor, output: tuple[int, int], generator: torch.Generator
) -> FirstSamples:
    """Thirteen crops (identity, translations, flip, blurs, rotations) of one larger image.

    Args:
        image: (3, 2h, 2w) float.
        output: (height, width) of the samples.
        generator: draws one pair of numbers for the flip and each blur and rotation.
    """
    down, right = int(0.3 * output[0]), int(0.3 * output[1])
    shifts = [(0, 0), *((down * i, right * j) for i, j in TRANSLATIONS)]
    images = [image] * len(shifts)
    for change in RANDOMLY_SHIFTED:
        images.append(change(image))
        shifts.append(_random_shift(output, generator))
    crops = [shift_crop(*pair, output) for pair in zip(images, shifts, strict=True)]
    return FirstSamples(torch.stack(crops), np.array(shifts))


def _random_shift(output: tuple[int, int], generator: torch.Generator) -> tuple[int, int]:
    """Up to a sixth of the crop each way."""
    draw = torch.rand(2, generator=generator) - 0.5
    down, right = (draw * torch.tensor(output) / 3).long().tolist()
    return down, right
