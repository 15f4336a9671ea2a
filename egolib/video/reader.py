"""The video reader: frames by number, exact, in little memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.video.backends import check_backend, open_frames
from egolib.video.pyav import Damaged, Rotation
from egolib.video.timing import TOLERANCE_SEC, Rounding, cut_interval

#: Frames by which a constant rate may be wrong.
VARIES = 0.1


class VideoReader:
    """A video as a sequence of (H, W, 3) uint8 RGB arrays.

    Frames are numbered from 0 in the order in which they are shown. The default
    decoder is exact: ``reader[i]`` is the i-th frame of a decode from the start,
    for edit lists, transport streams, variable rates, open groups of pictures and
    files without a stated length. One frame is held in memory at a time.

    Args:
        path: the video file.
        backend: ``av`` (PyAV, exact), or the extras ``torchcodec`` and ``decord``.
        threads: of the decoder; 1 is the best use of cores when several videos
            are read at once.
        damaged: ``refuse`` raises for truncated files and damaged frames; ``whole``
            reads the whole part of a truncated file; ``keep`` also accepts frames
            that the decoder had to repair.
        rotation: ``apply`` turns and mirrors pictures as the file's metadata asks (as
            players and FFmpeg's tools do); ``ignore`` gives them as stored.
        stream: which of the file's video streams, counted from 0; None is the default
            one (no thumbnail).

    Raises:
        EgolibError: the file is missing, is not a video, is truncated or lost packets (the
            first missing frame is named), or asks for a turn that is no multiple of 90
            degrees.

    Example:
        >>> reader = VideoReader("kitchen.mp4")
        >>> len(reader), reader.size, reader.fps
        (310, (426, 240), 30.0)
        >>> reader.batch([30, 10, 10]).shape
        (3, 240, 426, 3)
    """

    def __init__(
        self,
        path: str | Path,
        backend: str = "av",
        *,
        threads: int = 1,
        damaged: Damaged = "refuse",
        rotation: Rotation = "apply",
        stream: int | None = None,
    ):
        self.path, self.backend = Path(path), check_backend(backend)
        self._frames = open_frames(
            path, backend, threads=threads, damaged=damaged, rotation=rotation, stream=stream
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __repr__(self) -> str:
        width, height = self.size
        return f"VideoReader({self.path.name}: {len(self)} frames, {width}x{height}, {self.fps:g})"

    @property
    def rate(self) -> Fraction:
        """Average frames per second, exact: 30000/1001 for 29.97."""
        return self._frames.rate

    @property
    def fps(self) -> float:
        """Average frames per second."""
        return float(self.rate)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the frames as they are given out."""
        return self._frames.size

    @property
    def start_sec(self) -> float:
        """Presentation time of the first frame; not 0 in every file."""
        return self.timestamp(0)

    @property
    def duration_sec(self) -> float:
        """From the start of the first frame to the end of the last one."""
        return self._frames.end_sec - self.start_sec

    def timestamp(self, frame: int) -> float:
        """Presentation time of a frame in seconds, as the file states it."""
        return self._frames.time_sec(self._number(frame))

    def frame_at(self, sec: float, rounding: Rounding = "floor") -> int:
        """The number of the frame at a time, by the frames' own times (also of variable rate).

        Times before the start and after the end give the first and the last frame; a time
        within a microsecond of a frame's start counts as that start.

        Args:
            sec: seconds since the first frame was shown.
            rounding: ``floor`` is the frame on screen, ``nearest`` the one whose start is
                closest (a tie goes to the later one), ``ceil`` the first that starts no
                earlier; as in ``timing.to_frame``.
        """
        time, last = self.start_sec + sec, len(self) - 1
        shown = bisect_right(range(last + 1), time + float(TOLERANCE_SEC), key=self.timestamp) - 1
        if rounding == "floor":
            return max(shown, 0)
        if rounding == "ceil":
            late = time - self.timestamp(max(shown, 0)) > float(TOLERANCE_SEC)
            return min(max(shown, 0) + late, last)
        if rounding != "nearest":
            raise EgolibError(f"rounding is floor, nearest or ceil, not {rounding!r}")
        before, after = max(shown, 0), min(shown + 1, last)
        nearer = self.timestamp(after) - time <= time - self.timestamp(before)
        return after if nearer else before

    def frames_between(self, start_sec: float, end_sec: float) -> range:
        """The frames on screen from one time to another, by the frames' own times.

        A stretch that goes past the end of the video is cut there; at least one frame is
        given.

        Args:
            start_sec: seconds since the first frame was shown.
            end_sec: the same; the frame that is shown exactly then is left out.

        Raises:
            EgolibError: the stretch stops before it starts, or lies outside the video.
        """
        start, end = cut_interval(start_sec, end_sec, self.duration_sec, file=self.path)
        first, time = self.frame_at(start), self.start_sec + end - float(TOLERANCE_SEC)
        stop = bisect_left(range(len(self)), time, key=self.timestamp)
        return range(first, max(stop, first + 1))

    @cached_property
    def varies(self) -> bool:
        """Whether a frame is shown a tenth of a frame or more before or after its place at a
        constant rate."""
        places = (self.timestamp(frame) - self.start_sec for frame in range(len(self)))
        return any(abs(sec * self.fps - frame) >= VARIES for frame, sec in enumerate(places))

    def looked_at(self, fps: float) -> list[int]:
        """The frames on screen every ``1 / fps`` seconds by the frames' own times, each once.

        Args:
            fps: looks a second.
        """
        count = int((self.duration_sec + float(TOLERANCE_SEC)) * fps) + 1
        times = (k / fps for k in range(count) if k / fps < self.duration_sec)
        return sorted({self.frame_at(sec) for sec in times})

    def __getitem__(self, frame: int) -> NDArray[np.uint8]:
        """One frame, (H, W, 3) RGB; negative numbers count from the end.

        Raises:
            EgolibError: the frame is damaged.
            IndexError: the video has no such frame.
        """
        return self._frames.image(self._number(frame))

    def batch(self, frames: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """Several frames in the order asked for, (N, H, W, 3); each is decoded once."""
        numbers = np.array([self._number(int(frame)) for frame in frames], np.int64)
        width, height = self.size
        images = np.empty((len(numbers), height, width, 3), np.uint8)
        unique = np.unique(numbers)
        for number, image in zip(unique, self._frames.images(unique.tolist()), strict=True):
            images[numbers == number] = image
        return images

    def frames(
        self, start: int = 0, stop: int | None = None, step: int = 1
    ) -> Iterator[NDArray[np.uint8]]:
        """Frames start, start + step, ... before stop, one at a time.

        Args:
            start: first frame.
            stop: frame before which to end; None for the end of the video.
            step: every how many frames.
        """
        for frame in range(len(self))[slice(start, stop, step)]:
            yield self._frames.image(frame)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return self.frames()

    def close(self) -> None:
        """Gives back the file and the decoder's memory; reading opens them again."""
        self._frames.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _number(self, frame: int) -> int:
        count = len(self)
        if not -count <= frame < count:
            raise IndexError(f"{self.path}: frame {frame} of a video of {count} frames")
        return int(frame) % count


def check_frames(path: str | Path) -> int:
    """Decodes a whole video; the number of its frames, all of which are readable.

    Raises:
        EgolibError: naming the first frame that is damaged or missing.
    """
    from egolib.video.pyav import PyAVFrames

    frames = PyAVFrames(path)
    for frame in range(len(frames)):
        frames.raw(frame)
    if not len(frames):
        raise EgolibError("the video has no frames", file=path)
    return len(frames)
