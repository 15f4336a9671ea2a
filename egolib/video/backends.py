"""The decoders: PyAV (exact, the default), torchcodec and decord (extras; decord is not exact
on every file and no longer maintained)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError, nearest
from egolib.video.pyav import PyAVFrames
from egolib.video.source import check_file
from egolib.video.timing import exact_rate


class Frames(Protocol):
    """What a decoder offers; frame numbers are in range and not negative."""

    def __len__(self) -> int: ...
    @property
    def rate(self) -> Fraction: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def end_sec(self) -> float: ...
    def time_sec(self, frame: int) -> float: ...
    def image(self, frame: int) -> NDArray[np.uint8]: ...
    def images(self, frames: list[int]) -> Iterator[NDArray[np.uint8]]: ...
    def close(self) -> None: ...


class DecordFrames:
    """Frames by decord; lengths and frames are decord's, right or wrong.

    Frames after an edit list, in transport streams and in open groups of pictures
    may be wrong or miscounted, and times start at zero.
    """

    def __init__(self, path: str | Path, threads: int = 1):
        import decord

        self.path = Path(path)
        try:
            self._reader = decord.VideoReader(str(path), num_threads=threads)
        except (decord.DECORDError, RuntimeError) as error:
            raise EgolibError(f"decord cannot read it: {_first_line(error)}", file=path) from error
        self._size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self._reader)

    @property
    def rate(self) -> Fraction:
        return exact_rate(self._reader.get_avg_fps())

    @property
    def size(self) -> tuple[int, int]:
        if self._size is None:
            height, width = self.image(0).shape[:2]
            self._size = width, height
        return self._size

    def time_sec(self, frame: int) -> float:
        return float(self._reader.get_frame_timestamp(frame)[0])

    @property
    def end_sec(self) -> float:
        return float(self._reader.get_frame_timestamp(len(self) - 1)[1])

    def image(self, frame: int) -> NDArray[np.uint8]:
        return next(self.images([frame]))

    def images(self, frames: list[int]) -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            try:
                yield self._reader[frame].asnumpy()
            except Exception as error:  # decord raises its own and built-in types
                raise EgolibError(
                    f"decord cannot read the frame: {_first_line(error)}",
                    file=self.path,
                    record=f"frame {frame}",
                    remedy="backend='av' reads every frame that can be decoded",
                ) from error

    def close(self) -> None:
        pass


class TorchcodecFrames:
    """Frames by torchcodec in its exact mode; needs the system's FFmpeg libraries."""

    def __init__(self, path: str | Path, threads: int = 1):
        try:
            from torchcodec.decoders import VideoDecoder
        except (ImportError, OSError, RuntimeError) as error:  # it looks for FFmpeg's libraries
            raise EgolibError(
                f"torchcodec cannot be loaded: {_first_line(error)}",
                remedy="install FFmpeg's libraries, or use the back end av",
            ) from error

        self.path = Path(path)
        try:
            self._decoder = VideoDecoder(
                str(path), dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="exact"
            )
        except (RuntimeError, ValueError) as error:
            raise EgolibError(
                f"torchcodec cannot read it: {_first_line(error)}", file=path
            ) from error

    def __len__(self) -> int:
        return int(self._decoder.metadata.num_frames)

    @property
    def rate(self) -> Fraction:
        return exact_rate(self._decoder.metadata.average_fps)

    @property
    def size(self) -> tuple[int, int]:
        return self._decoder.metadata.width, self._decoder.metadata.height

    def time_sec(self, frame: int) -> float:
        return float(self._decoder.get_frame_at(frame).pts_seconds)

    @property
    def end_sec(self) -> float:
        return float(self._decoder.metadata.end_stream_seconds)

    def image(self, frame: int) -> NDArray[np.uint8]:
        return next(self.images([frame]))

    def images(self, frames: list[int]) -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            try:
                yield self._decoder[frame].numpy()
            except (RuntimeError, IndexError) as error:
                raise EgolibError(
                    f"torchcodec cannot read the frame: {_first_line(error)}",
                    file=self.path,
                    record=f"frame {frame}",
                ) from error

    def close(self) -> None:
        pass


BACKENDS: dict[str, Any] = {
    "av": PyAVFrames,
    "decord": DecordFrames,
    "torchcodec": TorchcodecFrames,
}


def available_backends() -> list[str]:
    """Names of the back ends that are installed, the exact default first."""
    return [name for name in BACKENDS if find_spec(name)]


def check_backend(backend: str) -> str:
    """The name of a back end that is installed (``pyav`` is another name of ``av``).

    Raises:
        EgolibError: it is unknown, or an extra that is not installed.
    """
    name = "av" if backend == "pyav" else backend
    if name not in BACKENDS:
        raise EgolibError(
            f"unknown video back end {backend!r}", remedy=nearest(backend, list(BACKENDS))
        )
    if name not in available_backends():
        raise EgolibError(
            f"the video back end {name} is not installed",
            remedy=f"pip install 'egolib[{name}]', or use the back end av",
        )
    return name


def open_frames(path: str | Path, backend: str, threads: int, **options: Any) -> Frames:
    """The decoder of that name on a file.

    Args:
        path: the file.
        backend: see ``check_backend``.
        threads: of the decoder.
        options: of ``PyAVFrames``; the other decoders have none.

    Raises:
        EgolibError: unknown or missing back end, or an option only PyAV has.
    """
    backend = check_backend(backend)
    if backend == "av":
        return PyAVFrames(path, threads=threads, **options)
    changed = [name for name, value in options.items() if value not in ("refuse", "apply", None)]
    if changed:
        raise EgolibError(f"{changed[0]} can only be chosen with backend='av'")
    frames: Frames = BACKENDS[backend](check_file(path).absolute(), threads=threads)
    return frames


# ------------------------------------------------------------------ comparison


@dataclass(frozen=True)
class Disagreement:
    """How a back end reads one file differently from PyAV.

    Attributes:
        backend: its name.
        length, pyav_length: frame counts (None: it cannot open the file).
        frames: the compared frame numbers that look different or cannot be read.
        reason: one sentence.
    """

    backend: str
    length: int | None
    pyav_length: int
    frames: tuple[int, ...]
    reason: str


def compare_backends(
    path: str | Path,
    backends: list[str] | None = None,
    samples: int = 12,
    tolerance: float = 2.0,
) -> list[Disagreement]:
    """The back ends that read a file differently from PyAV; an empty list if none does.

    Args:
        path: the file.
        backends: names; None takes all that are installed.
        samples: how many evenly spread frames are compared, beside the lengths.
        tolerance: mean absolute difference, in grey levels, that still counts as
            equal (builds of FFmpeg round colours differently).
    """
    truth = PyAVFrames(path)
    chosen = [int(f) for f in np.unique(np.linspace(0, len(truth) - 1, samples).round())]
    pictures = dict(zip(chosen, truth.images(chosen), strict=True))
    names = available_backends() if backends is None else backends
    found = [_compare(path, name, len(truth), pictures, tolerance) for name in names]
    return [difference for difference in found if difference is not None]


def _compare(
    path: str | Path,
    name: str,
    count: int,
    pictures: dict[int, NDArray[np.uint8]],
    tolerance: float,
) -> Disagreement | None:
    if name == "av":
        return None
    try:
        other = open_frames(path, name, threads=1)
    except EgolibError as error:
        return Disagreement(name, None, count, (), error.what)
    wrong = tuple(f for f, image in pictures.items() if not _same(other, f, image, tolerance))
    if len(other) == count and not wrong:
        return None
    reason = f"{len(other)} frames against {count}" if len(other) != count else "equal lengths"
    return Disagreement(
        name, len(other), count, wrong, f"{reason}, {len(wrong)} of {len(pictures)} frames differ"
    )


def _same(other: Frames, frame: int, image: NDArray[np.uint8], tolerance: float) -> bool:
    try:
        seen = other.image(frame) if frame < len(other) else None
    except EgolibError:
        return False
    if seen is None or seen.shape != image.shape:
        return False
    return float(np.abs(seen.astype(np.int16) - image).mean()) <= tolerance


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
