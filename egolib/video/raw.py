"""What extraction takes frames from: PyAV as decoded, or another decoder's pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

from av.video.frame import VideoFrame

from egolib.video.backends import check_backend, open_frames
from egolib.video.orientation import UPRIGHT, Orientation
from egolib.video.picture import as_frame


class SourceFrames(Protocol):
    """The frames of one video file, as clips and images are cut from them."""

    path: Path
    backend: str
    stream: int | None
    orientation: Orientation

    def __len__(self) -> int: ...
    @property
    def read_error(self) -> str: ...
    @property
    def rate(self) -> Fraction: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def shown_sec(self, frame: int) -> Fraction: ...
    def raw(self, frame: int) -> VideoFrame: ...
    def close(self) -> None: ...


class OtherFrames:
    """Frames of another decoder than PyAV, upright and in RGB.

    Args:
        path: the video file.
        backend: an installed one, see ``egolib.video.VideoReader``.
        stream: None, the file's default one; only PyAV has a choice.

    Raises:
        EgolibError: the decoder is not installed, cannot read the file, or has no choice of
            streams.
    """

    orientation, read_error = UPRIGHT, ""

    def __init__(self, path: str | Path, backend: str, stream: int | None = None):
        self.path, self.backend, self.stream = Path(path), check_backend(backend), stream
        self._frames = open_frames(path, backend, threads=1, stream=stream)

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def rate(self) -> Fraction:
        """Frames per second."""
        return self._frames.rate

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures."""
        return self._frames.size

    def shown_sec(self, frame: int) -> Fraction:
        """Presentation time to a microsecond; behind the last frame the end."""
        whole = frame < len(self)
        time = self._frames.time_sec(frame) if whole else self._frames.end_sec
        return Fraction(round(time * 1_000_000), 1_000_000)

    def raw(self, frame: int) -> VideoFrame:
        """The picture, in RGB.

        Raises:
            EgolibError: it cannot be decoded.
        """
        return as_frame(self._frames.image(frame))

    def close(self) -> None:
        """Gives back the decoder's memory."""
        self._frames.close()
