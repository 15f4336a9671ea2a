"""Sizes and channels of what enters the network."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.vq2d.models.inputs import network_image, network_size, scaled_down


@pytest.mark.parametrize(
    ("size", "expected"),
    [((700, 933), (800, 1066)), ((1080, 1920), (750, 1333)), ((800, 800), (800, 800))],
)
def test_network_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert network_size(*size, 800, 1333) == expected


def test_channels_are_turned() -> None:
    frame = np.zeros((800, 800, 3), np.uint8)
    frame[:, :, 0] = 9  # red
    image = network_image(frame, 800, 1333)
    assert image[2].min() == 9 and not image[:2].any()


def test_scaled_down() -> None:
    frame = np.zeros((1080, 1440, 3), np.uint8)
    small, scale = scaled_down(frame, 700)
    assert small.shape[:2] == (700, 933) and scale == pytest.approx(700 / 1080)
    same, scale = scaled_down(frame, 0)
    assert same is frame and scale == 1.0
