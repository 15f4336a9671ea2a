"""From a clip's times to its pictures.

Legend: n frames, H height, W width. Pictures are (n, H, W, 3) uint8 RGB.

The official readers seek with OpenCV or decord. Here the frame that such a reader
gives is computed, and read exactly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.video import VideoReader, check_backend
from egolib.vlp.data.sampling import (
    WINDOWS_PER_SEC,
    Draw,
    Jitter,
    epic_intervals,
    middle_frames,
    random_frames,
    seconds_to_span,
    span,
    whole_video,
)

Seek = Literal["official", "exact"]
Times = Literal["official", "index"]
_TIMES = 1 << 20  # different times of a part that are drawn from


class Video(Protocol):
    """What the readers need of a video."""

    def __len__(self) -> int: ...

    @property
    def fps(self) -> float: ...

    @property
    def duration_sec(self) -> float: ...

    def frame_at(self, sec: float) -> int: ...

    def batch(self, frames: Sequence[int]) -> np.ndarray: ...


def shown_frame(asked: int, length: int, seek: Seek = "official") -> int:
    """The frame that a reader gives where ``asked`` was asked for.

    Official behaviour: OpenCV is sent to the frame before the one asked for, and that
    one is read: frame n - 1, at least 0. ``exact`` gives frame n. Both stay inside
    the video.

    Args:
        asked: frame number.
        length: frames of the video.
        seek: ``official`` or ``exact``.
    """
    frame = asked - 1 if seek == "official" else asked
    return min(max(frame, 0), length - 1)


def frames_on_screen(
    video: Video, start_sec: float, end_sec: float, frames: int, draw: Draw | None = None
) -> list[int]:
    """The frames on screen at times of a stretch, by the file's frame index.

    Args:
        video: the file; its rate may vary.
        start_sec: of the stretch.
        end_sec: of the stretch.
        frames: F, equal parts that the stretch is cut into.
        draw: draws a random time of each part, in training; None takes its middle.
    """
    length = (end_sec - start_sec) / frames
    parts = [draw(0, _TIMES) / _TIMES if draw else 0.5 for _ in range(frames)]
    return [video.frame_at(start_sec + (i + part) * length) for i, part in enumerate(parts)]


def moment_frames_on_screen(
    video: Video, start_sec: float, end_sec: float, frames: int
) -> list[int]:
    """As ``sampling.moment_frames``, by the file's frame index instead of an assumed rate.

    Args:
        video: the file; its rate may vary.
        start_sec: of the stretch.
        end_sec: of the stretch.
        frames: in a window.
    """
    end_sec = min(end_sec, video.duration_sec)
    count = int(max(0.0, end_sec - start_sec) * WINDOWS_PER_SEC * frames + 1)
    return frames_on_screen(video, start_sec, end_sec, count)


# --------------------------------------------------------------------------- EgoClip


def chunk_numbers(start_sec: float, end_sec: float, chunk_sec: int = 600) -> tuple[int, int]:
    """Numbers of the files that hold a clip's start and end.

    Args:
        start_sec: of the clip, in the whole video.
        end_sec: of the clip.
        chunk_sec: length of the files.
    """
    return int(max(start_sec, 0) // chunk_sec), int(max(end_sec, 0) // chunk_sec)


def egoclip_intervals(
    start_sec: float, end_sec: float, frames: int, assumed_fps: float = 30.0
) -> list[tuple[int, int]]:
    """Intervals of an EgoClip clip in frames of the whole video, at the assumed rate.

    Args:
        start_sec: of the clip.
        end_sec: of the clip.
        frames: intervals that are wanted.
        assumed_fps: frames a second, whatever the file says.
    """
    return span(frames, *seconds_to_span(start_sec, end_sec, assumed_fps))


def place_in_chunks(
    frames: Sequence[int],
    lengths: tuple[int, int],
    first_chunk: int,
    *,
    chunk_sec: int = 600,
    assumed_fps: float = 30.0,
    seek: Seek = "official",
) -> list[tuple[int, int]]:
    """For each frame of the whole video, which of two chunks it is in, and where.

    Official behaviour: frame numbers are taken modulo a chunk's nominal length, and
    the very first frame of the second chunk is looked for in the first one.

    Args:
        frames: frame numbers of the whole video at the assumed rate.
        lengths: frames that the first and the second file have.
        first_chunk: number of the first file.
        chunk_sec: nominal length of the files.
        assumed_fps: frames a second, whatever the files say.
        seek: see ``shown_frame``; ``exact`` mends the boundary too.
    """
    per_chunk = int(chunk_sec * assumed_fps)
    bound = int(assumed_fps * chunk_sec * (first_chunk + 1))
    places = []
    for frame in frames:
        second = frame >= bound if seek == "exact" else frame > bound
        local = min(frame % per_chunk, lengths[second])
        places.append((int(second), shown_frame(local, lengths[second], seek)))
    return places


def egoclip_images(
    chunks: tuple[Video, Video],
    start_sec: float,
    end_sec: float,
    frames: int,
    *,
    draw: Draw | None = None,
    jitter: Jitter = "official",
    seek: Seek = "official",
    chunk_sec: int = 600,
    assumed_fps: float = 30.0,
) -> np.ndarray:
    """Pictures of a clip of EgoClip or EgoMCQ; the last one is repeated where some are missing.

    Args:
        chunks: the files that hold its start and its end (may be the same).
        start_sec: in the whole video; negative times count as 0.
        end_sec: in the whole video.
        frames: n.
        draw: draws random frames in training; None takes middle ones.
        jitter: see ``sampling.random_frames``.
        seek: see ``shown_frame``.
        chunk_sec: nominal length of the files.
        assumed_fps: frames a second, whatever the files say.

    Raises:
        EgolibError: the clip is too short for the official draw, or has no frame.
    """
    start_sec, end_sec = max(start_sec, 0.0), max(end_sec, 0.0)
    parts = egoclip_intervals(start_sec, end_sec, frames, assumed_fps)
    wanted = random_frames(parts, draw, jitter) if draw else middle_frames(parts)
    first, _ = chunk_numbers(start_sec, end_sec, chunk_sec)
    lengths = (len(chunks[0]), len(chunks[1]))
    places = place_in_chunks(
        wanted, lengths, first, chunk_sec=chunk_sec, assumed_fps=assumed_fps, seek=seek
    )
    if not places:
        raise EgolibError("the clip has no frame")
    images = _read_places(chunks, places)
    return np.concatenate([images, np.repeat(images[-1:], frames - len(images), 0)])


def egoclip_images_by_index(
    chunk: Callable[[int], Video],
    stretch_sec: tuple[float, float],
    frames: int,
    draw: Draw | None = None,
    *,
    chunk_sec: int = 600,
) -> np.ndarray:
    """Pictures of a clip of EgoClip or EgoMCQ, found by the frame index of its files.

    Args:
        chunk: gives the file of a number.
        stretch_sec: start and end in the whole video; negative times count as 0.
        frames: n.
        draw: draws random times in training; None takes the middles of equal parts.
        chunk_sec: nominal length of the files.

    Raises:
        EgolibError: the clip starts after its video ends.
    """
    start, end = (max(0.0, t) for t in stretch_sec)
    length = (end - start) / frames
    parts = [draw(0, _TIMES) / _TIMES if draw else 0.5 for _ in range(frames)]
    times = [start + (i + part) * length for i, part in enumerate(parts)]
    images: list[np.ndarray] = []
    for number, group in groupby(times, lambda t: int(t // chunk_sec)):
        video, local = chunk(number), [t - number * chunk_sec for t in group]
        if not images and local[0] >= video.duration_sec:
            raise EgolibError(
                f"the clip starts at {start:g} s, its video ends at "
                f"{number * chunk_sec + video.duration_sec:.2f} s"
            )
        images.append(video.batch([video.frame_at(t) for t in local]))
    return np.concatenate(images)


def _read_places(chunks: tuple[Video, Video], places: list[tuple[int, int]]) -> np.ndarray:
    """Pictures in the order of the places, one pass over each file."""
    parts = []
    for number, video in enumerate(chunks):
        local = [frame for chunk, frame in places if chunk == number]
        if local:
            parts.append(video.batch(local))
    order = np.argsort([chunk for chunk, _ in places], kind="stable")
    return np.concatenate(parts)[np.argsort(order)]


# ---------------------------------------------------------------------- Charades-Ego


def charades_frames(
    length: int,
    fps: float,
    frames: int,
    start_sec: float | None = None,
    end_sec: float | None = None,
    *,
    draw: Draw | None = None,
    jitter: Jitter = "official",
    seek: Seek = "official",
) -> list[int]:
    """The frames shown of a whole video, or of a stretch where one is given.

    Official behaviour: a start and end that are both 0 mean the whole video. There
    may be fewer than ``frames``.

    Args:
        length: frames of the video.
        fps: its average rate.
        frames: n.
        start_sec: of the stretch.
        end_sec: of the stretch.
        draw: draws random frames in training; None takes middle ones.
        jitter: see ``sampling.random_frames``.
        seek: see ``shown_frame``.

    Raises:
        EgolibError: the stretch is too short for the official draw, or empty.
    """
    if not start_sec and not end_sec:
        parts = whole_video(frames, length)
    else:
        start, end = seconds_to_span(start_sec or 0.0, end_sec or 0.0, fps)
        parts = span(frames, start, min(end, length))
    wanted = random_frames(parts, draw, jitter) if draw else middle_frames(parts)
    if not wanted:
        raise EgolibError("the stretch has no frame")
    return [shown_frame(frame, length, seek) for frame in wanted]


# --------------------------------------------------------------------- EPIC-KITCHENS


def epic_frames(
    start_sec: float, stop_sec: float, fps: float, frames: int, draw: Draw | None = None
) -> list[int]:
    """The frames of an EPIC-KITCHENS clip: middles of intervals, or random ones in training.

    Args:
        start_sec: of the clip.
        stop_sec: of the clip.
        fps: average rate of the video file.
        frames: n.
        draw: draws random frames; None takes middle ones.
    """
    parts = epic_intervals(start_sec, stop_sec, fps, frames)
    if draw is None:
        return middle_frames(parts)
    return [draw(low, high + 1) for low, high in parts]


# ---------------------------------------------------------------------- opened videos


class OpenVideos:
    """Opened videos by path; the least recently used ones are closed.

    Every process opens its own: files that were open before a fork are opened again.

    Args:
        limit: videos that are kept open.
        backend: see ``egolib.video.VideoReader``.

    Raises:
        EgolibError: the back end is unknown or not installed.
    """

    def __init__(self, limit: int = 4, backend: str = "av"):
        self.limit, self.backend = limit, check_backend(backend)
        self._open: dict[Path, VideoReader] = {}
        self._process = os.getpid()

    def get(self, path: str | Path) -> VideoReader:
        """A reader of a file.

        Raises:
            EgolibError: the file is missing or is no readable video.
        """
        if self._process != os.getpid():
            self._open, self._process = {}, os.getpid()
        path = Path(path)
        video = self._open.pop(path, None) or VideoReader(path, self.backend)
        self._open[path] = video
        while len(self._open) > self.limit:
            self._open.pop(next(iter(self._open))).close()
        return video

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}
