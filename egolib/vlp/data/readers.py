"""From a clip's times to its pictures.

Legend: n frames, H height, W width. Pictures are (n, H, W, 3) uint8 RGB.

The official readers seek with OpenCV or decord. Here the frame that such a reader
gives is computed, and read exactly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.vlp.data.sampling import (
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


class Video(Protocol):
    """What the readers need of a video."""

    def __len__(self) -> int: ...

    @property
    def fps(self) -> float: ...

    def batch(self, frames: Sequence[int]) -> np.ndarray: ...


def shown_frame(asked: int, length: int, seek: Seek = "official") -> int:
    """The frame that a reader gives where ``asked`` was asked for.

    Official behaviour: OpenCV is sent to the frame before the one asked for, and that
    one is read: frame n - 1, at least 0. ``exact`` gives frame n. Both stay inside
    the video.
    """
    frame = asked - 1 if seek == "official" else asked
    return min(max(frame, 0), length - 1)


# --------------------------------------------------------------------------- EgoClip


def chunk_numbers(start_sec: float, end_sec: float, chunk_sec: int = 600) -> tuple[int, int]:
    """Numbers of the files that hold a clip's start and end."""
    return int(max(start_sec, 0) // chunk_sec), int(max(end_sec, 0) // chunk_sec)


def egoclip_intervals(
    start_sec: float, end_sec: float, frames: int, assumed_fps: float = 30.0
) -> list[tuple[int, int]]:
    """Intervals of an EgoClip clip in frames of the whole video, at the assumed rate."""
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
        start_sec, end_sec: of the whole video; negative times count as 0.
        frames: n.
        draw: draws random frames in training; None takes middle ones.

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
    """The frames of an EPIC-KITCHENS clip: middles of intervals, or random ones in training."""
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
    """

    def __init__(self, limit: int = 4, backend: str = "pyav"):
        self.limit, self.backend = limit, backend
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
