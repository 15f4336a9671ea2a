from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from egolib.video import Resize, VideoReader
from egolib.video.orientation import UPRIGHT
from egolib.video.pyav import PyAVFrames
from egolib.video.resize import PictureMaker
from tests.helpers.video_files import encode, number_of, turn_by_metadata


@pytest.mark.parametrize(
    ("rule", "source", "size", "even"),
    [
        (Resize(), (1440, 1080), (1440, 1080), (1440, 1080)),
        (Resize(), (425, 239), (425, 239), (426, 240)),
        (Resize(700), (1440, 1080), (934, 700), (934, 700)),
        (Resize(700), (1920, 1080), (1244, 700), (1244, 700)),
        (Resize(255), (1920, 1080), (454, 255), (454, 256)),
        (Resize(256, "down"), (1440, 1080), (340, 256), (340, 256)),
        (Resize(256, "down"), (1920, 1080), (454, 256), (454, 256)),
        (Resize(256, "down"), (1080, 1920), (144, 256), (144, 256)),
        (Resize(256, "down", "short"), (1080, 1920), (256, 454), (256, 454)),
        (Resize(256, "down", "short"), (1920, 1080), (454, 256), (454, 256)),
    ],
)
def test_sizes(
    rule: Resize, source: tuple[int, int], size: tuple[int, int], even: tuple[int, int]
) -> None:
    assert rule.size(source) == size
    assert rule.even_size(source) == even


def test_official_resizing_is_opencvs(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    frames = PyAVFrames(tmp_path / "a.mp4")
    maker = PictureMaker((160, 120), (68, 50), UPRIGHT, "opencv_bilinear")
    expected = cv2.resize(VideoReader(tmp_path / "a.mp4")[2], (68, 50))
    np.testing.assert_array_equal(maker.image(frames.raw(2)), expected)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "area"])
def test_ffmpegs_resizing_smooths(interpolation: str, tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    raw = PyAVFrames(tmp_path / "a.mp4").raw(2)
    smooth = PictureMaker((160, 120), (40, 30), UPRIGHT, interpolation).image(raw)
    boxes = VideoReader(tmp_path / "a.mp4")[2].reshape(30, 4, 40, 4, 3).mean((1, 3))
    assert np.abs(smooth - boxes).mean() < 8


@pytest.mark.parametrize("interpolation", ["opencv_bilinear", "bicubic"])
def test_rotation_comes_before_resizing(interpolation: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    encode(path, range(12))
    turn_by_metadata(path, 90)
    frames = PyAVFrames(path)
    maker = PictureMaker(frames.size, (60, 80), frames.orientation, interpolation)
    turned = maker.image(frames.raw(11))
    assert turned.shape == (80, 60, 3)
    assert number_of(np.rot90(turned, -1)) == 11
