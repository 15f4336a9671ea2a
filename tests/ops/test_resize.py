"""Resizing by tensor operations against OpenCV and Pillow, bit by bit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from egolib.ops import resize

SIZES = [((216, 288), 0.648), ((90, 131), 0.37), ((64, 48), 1.7), ((77, 51), 0.9), ((40, 9), 3.0)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def planes(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def plain(images: torch.Tensor) -> np.ndarray:
    return images[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("size", "factor"), SIZES)
def test_as_opencv(size: tuple[int, int], factor: float) -> None:
    image = picture(*size)
    expected = cv2.resize(image, None, fx=factor, fy=factor)
    rows, columns = (
        resize.opencv_taps(cells, outputs, 1 / factor, axis)
        for cells, outputs, axis in zip(size, expected.shape[:2], ("rows", "columns"), strict=True)
    )
    found = resize.opencv_bilinear(planes(image), rows, columns)
    np.testing.assert_array_equal(plain(found), expected)


@pytest.mark.parametrize(("size", "factor"), SIZES)
def test_as_pillow(size: tuple[int, int], factor: float) -> None:
    image = picture(*size)
    height, width = (int(cells * factor + 0.5) for cells in size)
    expected = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    rows, columns = resize.pillow_taps(size[0], height), resize.pillow_taps(size[1], width)
    found = resize.pillow_bilinear(planes(image), rows, columns)
    np.testing.assert_array_equal(plain(found), np.asarray(expected))


def test_an_axis_that_keeps_its_cells() -> None:
    image = picture(30, 40)
    expected = np.asarray(Image.fromarray(image).resize((40, 45), Image.Resampling.BILINEAR))
    found = resize.pillow_bilinear(planes(image), resize.pillow_taps(30, 45), None)
    np.testing.assert_array_equal(plain(found), expected)
