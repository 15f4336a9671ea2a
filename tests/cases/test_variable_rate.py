"""A screen recording of variable rate: every task takes the frames that are on screen.

The file shows thirty frames in its first second and ten in the next three, 10 a second on
average; by that rate the window from 1 to 2 s would lie at 0.33 to 0.63 s.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.video import VideoReader
from egolib.vlp.config import DataConfig
from egolib.vlp.data.cache import FrameCache, write_cache
from egolib.vlp.data.readers import Video, frames_on_screen
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos
from egolib.vod.api import VideoFile
from egolib.vod.config.data import DataConfig as VodData
from egolib.vq2d.api import SubsampledVideo
from tests.helpers.video_files import encode, number_of

TIMES = [*range(30), *range(30, 120, 9)]  # in thirtieths of a second


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("screen")
    (folder / "uid").mkdir()
    for name in ("screen.mp4", "uid/0.mp4"):
        encode(folder / name, TIMES, 30)
    write_cache(folder, [folder / "screen.mp4"], folder / "frames", height=120)
    return folder


def seconds(frames: object) -> np.ndarray:
    """When frames are shown."""
    return np.array(TIMES)[np.array(frames)] / 30


def in_window(shown: np.ndarray) -> bool:
    """Whether frames are on screen from 1 to 2 s; one that starts at 0.97 s is until 1 s."""
    return bool((shown >= 1.0).all() and (shown < 2.0).all())


def test_windows_of_video_language(folder: Path) -> None:
    videos: list[Video] = [VideoReader(folder / "screen.mp4")]
    videos.append(FrameCache(folder / "frames", folder).get(folder / "screen.mp4"))
    for video in videos:
        frames = frames_on_screen(video, 1.0, 2.0, 4)
        assert in_window(seconds(frames)) and len(set(frames)) >= 3


def test_clips_of_data_sets_by_the_index(folder: Path) -> None:
    config = DataConfig(frame_times="index")
    images = CharadesVideos(folder, config).images("screen", 4, 1.0, 2.0)
    assert in_window(seconds([number_of(image) for image in images]))
    images = EgoClipVideos(folder, config).images("uid", 1.0, 2.0, 4)
    assert in_window(seconds([number_of(image) for image in images]))
    official = CharadesVideos(folder, DataConfig()).images("screen", 4, 1.0, 2.0)
    assert not in_window(seconds([number_of(image) for image in official]))


def test_fewer_frames_a_second_for_visual_queries_and_detection(folder: Path) -> None:
    reader = VideoReader(folder / "screen.mp4")
    wanted = [0.0, 0.5, 1.0, 1.3, 1.9, 2.5, 2.8, 3.4]  # on screen at 0, 0.5, 1, 1.5, ...
    np.testing.assert_allclose(seconds(SubsampledVideo(reader, 2, None).numbers), wanted)
    np.testing.assert_allclose(seconds(VideoFile(reader, VodData(), 2).frames), wanted)
    np.testing.assert_allclose(seconds(SubsampledVideo(reader, 2, 31).numbers), wanted[:3])
