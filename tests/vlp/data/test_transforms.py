from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from egolib.vlp.data.transforms import (
    Crop,
    as_tensor,
    centre_crop,
    normalise,
    random_crop,
    resize,
    resize_short_side,
    train_view,
)
from egolib.vlp.data.transforms import test_view as evaluation_view


def test_pictures_become_tensors() -> None:
    images = np.full((2, 3, 4, 3), 255, np.uint8)
    assert as_tensor(images).shape == (2, 3, 3, 4)
    assert as_tensor(images).max() == 1


@pytest.mark.parametrize("size", [(5, 9), (9, 5), (8, 8)])
def test_resizing_is_torchvisions_without_smoothing(size: tuple[int, int]) -> None:
    video = torch.rand(2, 3, *size)
    expected = reference.resize(video, [6], antialias=False)
    torch.testing.assert_close(resize_short_side(video, 6), expected)
    assert resize(video, *size) is video


@pytest.mark.parametrize("size", [(10, 10), (7, 12), (11, 8), (3, 10), (10, 3), (4, 5)])
def test_centre_crop_is_torchvisions(size: tuple[int, int]) -> None:
    video = torch.rand(1, 3, *size)
    torch.testing.assert_close(centre_crop(video, 6), reference.center_crop(video, [6, 6]))


def test_normalising_black_gives_minus_mean_over_deviation() -> None:
    found = normalise(torch.zeros(1, 3, 1, 1)).flatten().tolist()
    assert found == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])


@pytest.mark.parametrize("kind", ["ego4d", "epic"])
def test_evaluation_views_are_square_and_leave_their_input_alone(kind: str) -> None:
    video = torch.rand(2, 3, 40, 60)
    before = video.clone()
    assert evaluation_view(video, 32, kind).shape == (2, 3, 32, 32)  # type: ignore[arg-type]
    torch.testing.assert_close(video, before)


def test_random_crops_fit_and_follow_their_scale() -> None:
    rng = np.random.default_rng(0)
    crops = [random_crop(90, 120, rng) for _ in range(500)]
    areas = np.array([c.height * c.width / (90 * 120) for c in crops])
    ratios = np.array([c.width / c.height for c in crops])
    assert all(c.top + c.height <= 90 and c.left + c.width <= 120 for c in crops)
    assert areas.min() > 0.49 and areas.max() <= 1
    assert ratios.min() > 0.74 and ratios.max() < 1.35
    assert 0.4 < np.mean([c.flip for c in crops]) < 0.6
    assert not any(random_crop(90, 120, rng, flip=0.0).flip for _ in range(50))


def test_a_picture_that_no_crop_fits_gives_its_middle() -> None:
    crop = random_crop(10, 100, np.random.default_rng(0), scale=(1.0, 1.0), flip=0.0)
    assert crop == Crop(0, 43, 10, 13)


def test_training_views_mirror() -> None:
    video = torch.rand(1, 3, 20, 30)
    plain = train_view(video, Crop(2, 3, 10, 12), 8)
    mirrored = train_view(video, Crop(2, 3, 10, 12, flip=True), 8)
    torch.testing.assert_close(mirrored, plain.flip(-1))
