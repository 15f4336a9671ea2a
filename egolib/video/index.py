"""When each frame of a video file is shown, found by reading its packets once.

Legend: N frames, K key frames. Presentation times are integers in units of the
stream's ``time_base``; frames are numbered in the order in which they are shown.

The packets tell the truth where headers do not: edit lists (packets marked
*discard* are never shown), transport streams, variable rates, Matroska without a
duration. Packets before the first decodable frame (a stream cut between key
frames) are left out, found by decoding up to the first picture.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.video.container import truncation
from egolib.video.timing import exact_rate

_UNKNOWN = -(2**63)  # FFmpeg's mark of an absent time stamp


@dataclass(frozen=True)
class FrameIndex:
    """The frames of one video file.

    Attributes:
        times: (N,) int64, strictly increasing presentation times.
        keys: (K,) int64, the frame numbers of key frames.
        key_dts: (K,) int64, decoding times of the key frames.
        time_base: seconds per unit of time.
        rate: average frames per second, as ``exact_rate`` gives it.
        end: presentation time at which the last frame ends.
        width, height: size of the stored picture (before rotation).
        rotation: degrees, counterclockwise, by which players turn the picture: 0, 90, 180, 270.
        read_error: what is wrong with the file (it ends early), or None.
    """

    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    time_base: Fraction
    rate: Fraction
    end: int
    width: int
    height: int
    rotation: int
    read_error: str | None

    def __len__(self) -> int:
        return len(self.times)

    def seconds(self, time: int) -> float:
        """A time in this stream's units as seconds."""
        return float(int(time) * self.time_base)

    def last_key(self, frame: int) -> int:
        """Position in ``keys`` of the last key frame at or before a frame (-1: none)."""
        return int(np.searchsorted(self.keys, frame, side="right")) - 1


def open_container(path: str | Path) -> av.container.InputContainer:
    """The opened container.

    Raises:
        EgolibError: the file is missing, is a folder or not a video that FFmpeg knows.
    """
    path = Path(path)
    if not path.exists():
        raise EgolibError("the file does not exist", file=path, remedy="check the path")
    if path.is_dir():
        raise EgolibError("a video file was expected, this is a folder", file=path)
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, OSError) as error:
        cut = truncation(path)
        raise EgolibError(
            f"the video is truncated: {cut}" if cut else f"not a readable video ({_reason(error)})",
            file=path,
            remedy="copy or download it again and compare its size",
        ) from error


def video_stream(container: av.container.InputContainer, path: str | Path) -> VideoStream:
    """The first video stream that is no cover picture, decoded by one thread."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            stream.codec_context.thread_count = 1
            return stream
    raise EgolibError("the file has no video stream", file=path)


def frame_index(path: str | Path) -> FrameIndex:
    """The index of a video file; indices of files that did not change are cached.

    Raises:
        EgolibError: the file is missing, is no video, or has no decodable frame.
    """
    path = Path(path)
    state = path.stat() if path.is_file() else None
    if state is None:
        open_container(path).close()  # raises and says why
        raise EgolibError("not a regular file", file=path)
    return _remembered(path.absolute(), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _remembered(path: Path, size: int, changed: int) -> FrameIndex:
    with open_container(path) as container:
        stream = video_stream(container, path)
        scan = _scan(container, stream)
        if scan.first is None:
            cut = truncation(path)
            raise EgolibError(
                f"no frame can be decoded{f': {cut}' if cut else ''}",
                file=path,
                remedy="copy or download it again",
            )
        if not scan.trustworthy():
            scan = _scan_by_decoding(path)
        return _build(path, stream, scan)


@dataclass
class _Scan:
    """What one pass over a file saw.

    Attributes:
        packets: (N, 4) int64 of the shown packets in file order: presentation time,
            decoding time, duration, whether it is a key frame.
        first: the first decoded picture.
        stopped: why reading ended early.
        cut: whether the last packet is incomplete.
    """

    packets: NDArray[np.int64]
    first: VideoFrame | None
    stopped: str | None = None
    cut: bool = False

    def trustworthy(self) -> bool:
        times = self.packets[:, 0]
        return bool((times != _UNKNOWN).all()) and len(np.unique(times)) == len(times)


def _scan(container: av.container.InputContainer, stream: VideoStream) -> _Scan:
    packets, first, stopped, cut = array("q"), None, None, False
    try:
        for packet in container.demux(stream):
            first = first or _picture_of(packet)
            if packet.size and not packet.is_discard:
                packets.extend(_row(packet, packet.dts, packet.is_keyframe))
                cut = packet.is_corrupt
    except av.error.FFmpegError as error:
        stopped = _reason(error)
    return _Scan(_table(packets), first, stopped, cut)


def _scan_by_decoding(path: Path) -> _Scan:
    """For files whose packets carry no usable presentation times: decodes all, once."""
    packets, first = array("q"), None
    with open_container(path) as container:
        for packet in container.demux(video_stream(container, path)):
            for frame in _pictures_of(packet):
                first = first or frame
                packets.extend(_row(frame, frame.pts, frame.key_frame))
    scan = _Scan(_table(packets), first)
    if not scan.trustworthy():
        raise EgolibError(
            "the frames carry no usable presentation times",
            file=path,
            remedy="store it in another container: ffmpeg -i FILE -c copy FILE.mkv",
        )
    return scan


def _row(
    item: av.Packet[Any] | VideoFrame, dts: int | None, key: bool
) -> tuple[int, int, int, int]:
    pts = _UNKNOWN if item.pts is None else item.pts
    return pts, pts if dts is None else dts, item.duration or 0, int(key)


def _table(values: array[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64).reshape(-1, 4)


def _pictures_of(packet: av.Packet[Any]) -> list[VideoFrame]:
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


def _picture_of(packet: av.Packet[Any]) -> VideoFrame | None:
    return next(iter(_pictures_of(packet)), None)


def _build(path: Path, stream: VideoStream, scan: _Scan) -> FrameIndex:
    assert scan.first is not None and scan.first.pts is not None
    read_error = (
        truncation(path) or scan.stopped or ("its last packet is cut" if scan.cut else None)
    )
    packets = scan.packets[: -1 if scan.cut else None]
    packets = packets[packets[:, 0] >= scan.first.pts]
    if read_error:
        packets = _whole(packets)
        read_error = f"{read_error}; frames before {len(packets)} are whole"
    times, dts, durations, is_key = packets[np.argsort(packets[:, 0])].T
    keys = np.flatnonzero(is_key)
    return FrameIndex(
        times=times.copy(),
        keys=keys,
        key_dts=dts[keys],
        time_base=_time_base(stream),
        rate=_rate(stream, times),
        end=_end(times, durations),
        width=scan.first.width,
        height=scan.first.height,
        rotation=scan.first.rotation % 360,
        read_error=read_error,
    )


def _whole(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The packets before the first gap of a file that ends early.

    A missing packet is decoded after the last one read and shown no earlier than
    it is decoded, so everything shown up to that decoding time is there.
    """
    result: NDArray[np.int64] = packets[packets[:, 0] <= packets[:, 1].max(initial=_UNKNOWN)]
    return result


def _end(times: NDArray[np.int64], durations: NDArray[np.int64]) -> int:
    """When the last frame ends: by its own duration, else by the usual one."""
    if not len(times):
        return 0
    usual = np.median(durations) or (times[-1] - times[0]) / max(len(times) - 1, 1)
    return int(times[-1] + (durations[-1] or usual))


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None
    return Fraction(stream.time_base)


def _rate(stream: VideoStream, times: NDArray[np.int64]) -> Fraction:
    """The stated average rate; where the file states none, that of the times."""
    if stream.average_rate:
        return exact_rate(stream.average_rate)
    if len(times) > 1:
        span = int(times[-1] - times[0]) * _time_base(stream)
        return exact_rate((len(times) - 1) / span)
    return exact_rate(stream.guessed_rate or 1)


def _reason(error: BaseException) -> str:
    return str(error).split("]", 1)[-1].split(": ", 1)[0].strip() or type(error).__name__
