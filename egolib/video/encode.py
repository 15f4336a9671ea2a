"""Writing H.264 files that are whole or not there at all.

A file is written under another name beside its target, read back (number of
frames, every frame decodable) and only then renamed. What it was made from is
noted inside, so that a later run can tell whether it still fits.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.io.records import TEMPORARY, remove_temporaries
from egolib.video.index import frame_index
from egolib.video.picture import Converter, as_array, as_frame
from egolib.video.reader import check_frames
from egolib.video.sound import Sound
from egolib.video.source import file_url, open_container
from egolib.video.timing import Rate, exact_rate

_PART = ".part-"  # how the names begin under which files are written
_FINE = Fraction(1, 90_000)  # unit of time of files of variable rate


@dataclass(frozen=True)
class Encoding:
    """How pictures are compressed; the pixel format is yuv420p, which every player reads.

    Attributes:
        crf: constant rate factor; 0 is lossless, 51 the worst.
        preset: x264's trade of time for size, ``ultrafast`` to ``veryslow``.
        keyframe_sec: at most this long from one key frame to the next.
    """

    crf: float = 22
    preset: str = "medium"
    keyframe_sec: float = 1.0


class VideoWriter:
    """Writes one mp4 file; it appears when the block ends without an error.

    Args:
        path: the target.
        fps: frames per second of the file.
        encoding: quality and key frames.
        note: JSON-able facts kept in the file's comment (read by ``note_of``).
        sound: audio to copy beside the pictures.

    Raises:
        EgolibError: another process is writing this file; pictures of odd size; or
            what was written cannot be read back.

    Example:
        >>> with VideoWriter("out.mp4", fps=10) as writer:
        ...     for image in images:
        ...         writer.write(image)
    """

    def __init__(
        self,
        path: str | Path,
        fps: Rate,
        encoding: Encoding = Encoding(),
        note: dict[str, Any] | None = None,
        sound: Sound | None = None,
    ):
        self.path, self.rate, self.encoding = Path(path), exact_rate(fps), encoding
        self._note, self._sound = note, sound
        self._part, self._lock = _claim(self.path)
        self._rgb = Converter("rgb24")
        self._output: av.container.OutputContainer | None = None
        self._count, self._last_key = 0, Fraction(-1_000_000)

    def write(self, picture: NDArray[np.uint8] | VideoFrame, sec: Fraction | None = None) -> None:
        """Appends a picture.

        Args:
            picture: (H, W, 3) uint8 RGB with even sides, or a decoded frame.
            sec: when it is shown, for files of variable rate; None is the next
                frame at the constant rate.
        """
        frame = picture if isinstance(picture, VideoFrame) else as_frame(picture)
        if frame.format.name not in ("yuv420p", "rgb24"):
            frame = as_frame(as_array(self._rgb(frame)))  # without the tags of the former colours
        time, unit = (self._count / self.rate, 1 / self.rate) if sec is None else (sec, _FINE)
        frame.time_base, frame.pts = unit, round(time / unit)
        if self._output is None:
            self._open(frame, unit)
        frame.pict_type = PictureType.NONE
        if time - self._last_key >= Fraction(self.encoding.keyframe_sec) - 1 / (2 * self.rate):
            frame.pict_type, self._last_key = PictureType.I, time
        self._mux(self._stream.encode(frame))
        self._count += 1

    def finish(self) -> None:
        """Completes, checks and publishes the file; on an error nothing is left of it."""
        try:
            self._complete()
        except BaseException:
            self.abandon()
            raise
        os.fsync(self._lock)
        self._part.replace(self.path)
        self._release()

    def abandon(self) -> None:
        """Removes what was written; an existing target stays as it was."""
        if self._lock < 0:
            return
        if self._output is not None:
            with suppress(av.error.FFmpegError, OSError):  # the file is thrown away
                self._output.close()
        self._part.unlink(missing_ok=True)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    # ------------------------------------------------------------------ details

    def _open(self, frame: VideoFrame, unit: Fraction) -> None:
        if frame.width % 2 or frame.height % 2:
            raise EgolibError(
                f"yuv420p needs even sides, not {frame.width}x{frame.height}", file=self.path
            )
        self._output = av.open(file_url(self._part), "w", format="mp4")
        if self._note is not None:
            self._output.metadata["comment"] = json.dumps(self._note, separators=(",", ":"))
        self._stream = self._output.add_stream("libx264", rate=self.rate)
        self._stream.width, self._stream.height = frame.width, frame.height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        context.time_base = unit
        if frame.format.name == "yuv420p":  # keep the colour tags of pictures passed through
            context.color_range, context.colorspace = frame.color_range, frame.colorspace
            context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
        self._stream.options = {
            "crf": f"{self.encoding.crf:g}",
            "preset": self.encoding.preset,
            "forced-idr": "1",
            **repeatable_x264(),
        }
        if self._sound:
            self._sound.attach(self._output)

    def _complete(self) -> None:
        if self._output is None:
            raise EgolibError("a video needs at least one picture", file=self.path)
        self._mux(self._stream.encode())
        if self._sound:
            self._sound.copy_until(None)
        self._output.close()
        written = check_frames(self._part)
        if written != self._count:
            raise EgolibError(
                f"{self._count} frames were written and {written} can be read", file=self.path
            )

    def _mux(self, packets: Iterable[av.Packet[Any]]) -> None:
        assert self._output is not None
        for packet in packets:
            if self._sound and packet.dts is not None:
                self._sound.copy_until(packet.dts * packet.time_base)
            self._output.mux(packet)

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._sound:
            self._sound.close()


def write_video(
    path: str | Path,
    images: Iterable[NDArray[np.uint8]],
    fps: Rate,
    encoding: Encoding = Encoding(),
) -> Path:
    """Writes (H, W, 3) uint8 RGB pictures as an mp4 file, atomically; returns its path.

    Args:
        path: of the file.
        images: pictures of one size.
        fps: frames per second.
        encoding: codec and quality; None for the default.
    """
    with VideoWriter(path, fps, encoding) as writer:
        for image in images:
            writer.write(image)
    return Path(path)


def note_of(path: str | Path) -> dict[str, Any]:
    """What a written file says it was made from; empty where it says nothing."""
    with open_container(path) as container:
        comment = container.metadata.get("comment", "")
    try:
        note = json.loads(comment)
    except json.JSONDecodeError:
        return {}
    return note if isinstance(note, dict) else {}


def is_whole(path: str | Path, frames: int, decode: bool = False) -> bool:
    """Whether a file exists, ends where it should and holds that many readable frames.

    Args:
        path: of the file.
        frames: how many it must hold.
        decode: decode every frame; else the last one only.
    """
    try:
        if decode:
            return check_frames(path) == frames
        from egolib.video.pyav import PyAVFrames

        if len(frame_index(path)) != frames or not frames:
            return False
        PyAVFrames(path).raw(frames - 1)
    except EgolibError:
        return False
    return True


@cache
def repeatable_x264() -> dict[str, str]:
    """Options that make x264 write the same bytes for the same pictures every time.

    Its AVX-512 code for macroblock trees reads beyond the last macroblock of a row
    where their number is no multiple of 16, so results vary from run to run; its
    AVX2 code does not.
    """
    try:
        has_avx512 = " avx512bw" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    return {"x264-params": "asm=AVX2"} if has_avx512 else {}


def remove_unfinished(folder: Path) -> list[Path]:
    """Removes what killed processes left half written in a folder; returns it."""
    removed = remove_temporaries(folder) if next(folder.glob(f"{TEMPORARY}*"), None) else []
    for part in folder.glob(f"{_PART}*"):
        with part.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its writer lives, else
            part.unlink()
            removed.append(part)
    return removed


def _claim(path: Path) -> tuple[Path, int]:
    """The name to write under, locked against other processes until it is closed.

    The lock ends with its process, so what a killed run left is simply overwritten.
    """
    part = path.with_name(f"{_PART}{path.name}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "this is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise EgolibError(
            f"the file cannot be written: {error.strerror or error}",
            file=path,
            remedy="choose a folder that you may write to",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise EgolibError(
            "another process is writing this file", file=path, remedy="wait until it has ended"
        ) from error
    return part, lock
