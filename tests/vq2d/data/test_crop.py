"""The window around a visual crop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.vq2d.data.crop import crop_window, reference_crop, resize_to


def test_a_square_inside_is_only_resized() -> None:
    image = np.full((60, 60, 3), 80, np.uint8)
    window = crop_window(image, (20, 20, 40, 40), side=8)
    assert window.shape == (3, 8, 8) and (window == 80).all()


def test_the_short_side_is_padded_evenly() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    window = crop_window(image, (40, 0, 50, 100), margin=0, side=100)
    columns = window[0, 50]
    assert (columns[:45] == 125).all() and (columns[55:] == 125).all()
    assert (columns[45:55] == 0).all()


def test_corners_are_truncated_and_clipped() -> None:
    image = np.arange(50 * 50 * 3, dtype=np.uint32).reshape(50, 50, 3).astype(np.uint8)
    a = crop_window(image, (-5.9, 3.9, 10.9, 14.2), margin=2, side=16)
    b = crop_window(image, (-5, 3, 10, 14), margin=2, side=16)
    assert torch.equal(a, b)


def test_frames_of_another_size_are_resized_first() -> None:
    image = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    assert resize_to(image, (40, 30)) is image
    crop = reference_crop(image, (10, 10, 60, 50), (80, 60))
    assert crop.dtype == torch.uint8 and crop.shape == (3, 256, 256)


@pytest.mark.parametrize("side", [32, 256])
def test_side(side: int) -> None:
    assert crop_window(np.zeros((9, 9, 3), np.uint8), (1, 1, 3, 4), side=side).shape[-1] == side
