"""Crops and their transformed copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.vq2d.tracking.kys.patches import (
    blur,
    cut_patch,
    first_samples,
    flip,
    rotate,
    shift_crop,
)


def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def test_a_part_in_its_own_size_is_copied() -> None:
    patch = cut_patch(frame(), (10, 20), (8, 8), (8, 8))
    top, left, bottom, right = patch.corners
    expected = torch.from_numpy(frame()[top:bottom, left:right]).permute(2, 0, 1).float()
    assert torch.equal(patch.image, expected)
    assert patch.scale == 1.0 and patch.centre.tolist() == [10.5, 20.5]


def test_the_border_is_repeated() -> None:
    image = cut_patch(frame(), (0, 0), (8, 8), (8, 8)).image
    assert torch.equal(image[:, 0], image[:, 3]) and torch.equal(image[:, :, 0], image[:, :, 3])
    far = cut_patch(frame(), (-100, -100), (8, 8), (8, 8)).image
    assert (far == far[:, :1, :1]).all()


def test_large_parts_are_thinned() -> None:
    patch = cut_patch(frame(), (15, 20), (28, 28), (8, 8))
    assert patch.image.shape == (3, 8, 8)
    top, _, bottom, _ = patch.corners
    assert (bottom - top) % 3 == 0  # every third pixel


def test_shift_moves_the_content() -> None:
    image = torch.arange(64.0).reshape(1, 8, 8).repeat(3, 1, 1)
    middle = shift_crop(image, (0, 0), (4, 4))
    assert torch.equal(middle, image[:, 2:6, 2:6])
    assert torch.equal(shift_crop(image, (1, -1), (4, 4)), image[:, 1:5, 3:7])


def test_flip_and_rotation() -> None:
    image = torch.rand(3, 9, 9)
    assert torch.equal(flip(flip(image)), image)
    torch.testing.assert_close(rotate(image, 0), image)
    turned = rotate(rotate(image, 90), -90)
    torch.testing.assert_close(turned, image, atol=1e-3, rtol=0)


def test_blur_keeps_the_mean_inside() -> None:
    image = torch.full((3, 21, 21), 7.0)
    assert blur(image, (2, 1))[:, 10, 10].tolist() == pytest.approx([7.0] * 3)
    assert (blur(image, (2, 1))[:, 0, 0] < 7).all()  # zeros outside


def test_thirteen_first_samples() -> None:
    image = torch.rand(3, 64, 64)
    one, two = (first_samples(image, (32, 32), torch.Generator().manual_seed(0)) for _ in range(2))
    assert one.images.shape == (13, 3, 32, 32) and torch.equal(one.images, two.images)
    assert one.shifts[:5].tolist() == [[0, 0], [9, 9], [-9, 9], [9, -9], [-9, -9]]
    assert np.abs(one.shifts[5:]).max() <= 32 / 6
    assert torch.equal(one.images[0], image[:, 16:48, 16:48])
