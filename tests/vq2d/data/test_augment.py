"""Random views: boxes go where the pixels go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.vq2d.config import AugmentConfig
from egolib.vq2d.data.augment import (
    View,
    clipped,
    frame_view,
    masked,
    random_brightness,
    random_flip,
    reference_view,
    resized,
    rotated,
)

CFG = AugmentConfig(short_sides=(60, 90), long_side=200)


def view() -> View:
    """A bright box in a dark frame."""
    image = np.full((60, 90, 3), 10, np.uint8)
    image[20:40, 30:60] = 200
    return View(image, np.array([[30.0, 20, 60, 40]]))


def bright_box(image: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(image[:, :, 0] > 105)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("make", [frame_view, reference_view])
def test_boxes_follow_the_pixels(make) -> None:
    rng = np.random.default_rng(0)
    config = replace(CFG, brightness=(1.0, 1.0), rotation=(-90.0, -90.0))
    for _ in range(5):
        found = make(view(), config, rng)
        assert np.abs(found.boxes_xyxy[0] - bright_box(found.image)).max() <= 1.5


def test_resized_rounds_half_up_and_respects_the_long_side() -> None:
    assert resized(view(), 61, 1000).image.shape[:2] == (61, 92)
    assert resized(view(), 90, 100).image.shape[:2] == (67, 100)


def test_flip_twice_is_nothing() -> None:
    rng = np.random.default_rng(0)
    always = replace(CFG, flip=1.0)
    twice = random_flip(random_flip(view(), always, rng), always, rng)
    np.testing.assert_array_equal(twice.image, view().image)
    np.testing.assert_allclose(twice.boxes_xyxy, view().boxes_xyxy)


@pytest.mark.parametrize("degrees", [0, 360, 90, -90, 180, 30])
def test_rotation_keeps_everything(degrees: float) -> None:
    found = rotated(view(), degrees)
    assert np.abs(found.boxes_xyxy[0] - bright_box(found.image)).max() <= 2
    if degrees % 180 == 90:
        assert found.image.shape[:2] == (90, 60)


def test_brightness_is_clipped_and_truncated() -> None:
    found = random_brightness(
        view(), replace(CFG, brightness=(1.35, 1.35)), np.random.default_rng(0)
    )
    assert found.image.max() == 255 and found.image.min() == 13


def test_no_boxes_stay_no_boxes() -> None:
    empty = View(view().image, np.zeros((0, 4)))
    assert reference_view(empty, CFG, np.random.default_rng(0)).boxes_xyxy.shape == (0, 4)


def test_clipped() -> None:
    found = clipped(View(view().image, np.array([[-5.0, -5, 500, 500]])))
    assert found.boxes_xyxy.tolist() == [[0, 0, 90, 60]]


def test_masked_hides_a_share_of_the_cells() -> None:
    image = np.zeros((3, 64, 96), np.uint8)
    found = masked(image, 0.5, np.random.default_rng(0))
    assert (found[2] == 123).mean() == pytest.approx(0.5)
    assert not image.any()
