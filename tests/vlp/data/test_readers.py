from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.vlp.data.readers import (
    OpenVideos,
    charades_frames,
    chunk_numbers,
    egoclip_images,
    egoclip_images_by_index,
    epic_frames,
    frames_on_screen,
    moment_frames_on_screen,
    place_in_chunks,
    shown_frame,
)
from egolib.vlp.data.sampling import drawer
from tests.vlp.small import numbered_video, shown

RATE = {"chunk_sec": 2, "assumed_fps": 10.0}


@pytest.fixture(scope="module")
def chunks(tmp_path_factory: pytest.TempPathFactory) -> list[VideoReader]:
    """Two chunks of two seconds at ten frames a second; the second one is short."""
    folder = tmp_path_factory.mktemp("chunks")
    return [
        VideoReader(numbered_video(folder / f"{i}.mp4", frames)) for i, frames in ((0, 20), (1, 12))
    ]


@pytest.mark.parametrize(
    "asked, official, exact", [(0, 0, 0), (1, 0, 1), (5, 4, 5), (10, 9, 9), (99, 9, 9)]
)
def test_shown_frame(asked: int, official: int, exact: int) -> None:
    assert shown_frame(asked, 10) == official
    assert shown_frame(asked, 10, "exact") == exact


@pytest.mark.parametrize(
    "start, end, expected", [(-1, 0.5, (0, 0)), (599.9, 600.0, (0, 1)), (1200, 1201, (2, 2))]
)
def test_chunk_numbers(start: float, end: float, expected: tuple[int, int]) -> None:
    assert chunk_numbers(start, end) == expected


def test_the_boundary_quirk_and_its_correction() -> None:
    frames = [19, 20, 21]
    official = place_in_chunks(frames, (20, 12), 0, **RATE)
    assert official == [(0, 18), (0, 0), (1, 0)]  # frame 20 is looked for in the first chunk
    exact = place_in_chunks(frames, (20, 12), 0, **RATE, seek="exact")
    assert exact == [(0, 19), (1, 0), (1, 1)]


def test_a_clip_over_two_chunks(chunks: list[VideoReader]) -> None:
    images = egoclip_images((chunks[0], chunks[1]), 1.8, 2.4, 3, **RATE, seek="exact")
    assert shown(images) == [18, 0, 2]
    official = egoclip_images((chunks[0], chunks[1]), 1.8, 2.4, 3, **RATE)
    assert shown(official) == [17, 0, 1]


def test_missing_frames_repeat_the_last_one(chunks: list[VideoReader]) -> None:
    images = egoclip_images((chunks[0], chunks[0]), 0.0, 0.2, 5, **RATE, seek="exact")
    assert shown(images) == [0, 1, 1, 1, 1]


def test_a_clip_without_frames_is_an_error(chunks: list[VideoReader]) -> None:
    with pytest.raises(EgolibError, match="no frame"):
        egoclip_images((chunks[0], chunks[0]), -0.5, -0.1, 4, **RATE)


def test_random_frames_stay_in_their_intervals(chunks: list[VideoReader]) -> None:
    draw = drawer(np.random.default_rng(0))
    images = egoclip_images(
        (chunks[0], chunks[0]), 0.0, 1.9, 3, **RATE, draw=draw, jitter="inclusive", seek="exact"
    )
    assert all(
        low <= frame < low + 7 for frame, low in zip(shown(images), (0, 6, 12), strict=False)
    )


@pytest.mark.parametrize(
    "start, end, expected",
    [
        (None, None, [4, 14]),  # the whole video
        (0.0, 0.0, [4, 14]),  # the same: the quirk
        (1.0, 1.8, [11, 15]),
        (1.0, 9.0, [12, 17]),  # ends with the video
    ],
)
def test_charades_frames(start, end, expected) -> None:
    assert charades_frames(20, 10.0, 2, start, end, seek="exact") == expected
    official = charades_frames(20, 10.0, 2, start, end)
    assert official == [frame - 1 for frame in expected]


def test_a_charades_stretch_without_frames_is_an_error() -> None:
    with pytest.raises(EgolibError, match="no frame"):
        charades_frames(20, 10.0, 2, -2.0, -1.0)


def test_epic_frames() -> None:
    assert epic_frames(0.0, 2.0, 10.0, 2) == [5, 14]
    draw = drawer(np.random.default_rng(0))
    found = np.array([epic_frames(0.0, 2.0, 10.0, 2, draw) for _ in range(400)])
    assert (found.min(0) == [0, 10]).all() and (found.max(0) == [10, 19]).all()  # ends included


def test_only_a_few_videos_stay_open(tmp_path: Path) -> None:
    paths = [numbered_video(tmp_path / f"{i}.mp4", 3) for i in range(3)]
    videos = OpenVideos(limit=2)
    first = videos.get(paths[0])
    videos.get(paths[1])
    assert videos.get(paths[0]) is first
    videos.get(paths[2])
    assert list(videos._open) == [paths[0], paths[2]]
    with pytest.raises(EgolibError):
        videos.get(tmp_path / "none.mp4")


def test_another_process_opens_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = OpenVideos()
    path = numbered_video(tmp_path / "0.mp4", 3)
    first = videos.get(path)
    assert pickle.loads(pickle.dumps(videos))._open == {}
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert videos.get(path) is not first


# ----------------------------------------------------------------------- the frame index

RATES = (30, 10)


class UnevenVideo:
    """One second at 30 frames a second, then one at 10; a frame's picture is its number."""

    def __init__(self) -> None:
        first, second = RATES
        self.times = [i / first for i in range(first)] + [1 + i / second for i in range(second)]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def fps(self) -> float:
        return len(self.times) / self.duration_sec

    @property
    def duration_sec(self) -> float:
        return 2.0

    def frame_at(self, sec: float) -> int:
        return max(sum(t <= sec + 1e-6 for t in self.times) - 1, 0)

    def batch(self, frames) -> np.ndarray:
        return np.array(frames, np.uint8)[:, None, None, None] + np.zeros((1, 2, 2, 3), np.uint8)


def test_seconds_become_frames_by_the_frame_index() -> None:
    """By the average rate of 20 the second from 1 to 2 s would be frames 20 to 40."""
    video = UnevenVideo()
    assert frames_on_screen(video, 0.0, 1.0, 3) == [5, 15, 25]
    assert frames_on_screen(video, 1.0, 2.0, 2) == [32, 37]
    assert frames_on_screen(video, 0.0, 2.0, 2) == [15, 35]
    drawn = frames_on_screen(video, 1.0, 2.0, 2, lambda low, stop: low)
    assert drawn == [30, 35]


def test_moments_by_the_frame_index() -> None:
    frames = moment_frames_on_screen(UnevenVideo(), 1.0, 9.0, 2)
    assert len(frames) == int(1 * 1.87 * 2 + 1) and min(frames) >= 30 and frames == sorted(frames)


def test_chunks_by_the_frame_index() -> None:
    chunks = {0: UnevenVideo(), 1: UnevenVideo()}
    found = egoclip_images_by_index(chunks.__getitem__, (1.0, 3.0), 4, chunk_sec=2)
    assert found[:, 0, 0, 0].tolist() == [32, 37, 7, 22]
