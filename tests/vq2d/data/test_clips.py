"""Frames for trackers, in any direction."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vq2d.data.clips import ClipFrames
from tests.vq2d import made


@pytest.mark.parametrize("numbers", [range(20), range(19, -1, -1), [3, 17, 2, 2, 19]])
def test_every_direction_gives_the_right_frames(numbers) -> None:
    images = made.moving_square(20)
    frames = ClipFrames(made.Clip(images), made.SIZE, run=6)
    for number in numbers:
        np.testing.assert_array_equal(frames(number), images[number])


def test_walking_back_reads_each_frame_once() -> None:
    clip = made.Clip(made.moving_square(20))
    frames = ClipFrames(clip, made.SIZE, run=5)
    for number in range(19, -1, -1):
        frames(number)
    assert clip.asked <= 24


def test_annotated_size() -> None:
    frames = ClipFrames(made.Clip(made.moving_square(3)), (128, 96))
    assert frames(2).shape == (96, 128, 3)


def test_frames_after_the_query_are_not_given() -> None:
    frames = ClipFrames(made.Clip(made.moving_square(20)), made.SIZE, limit=8)
    frames(7)
    with pytest.raises(EgolibError, match="frame 8"):
        frames(8)
