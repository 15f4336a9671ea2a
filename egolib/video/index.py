"""When each frame of a video file is shown, found by reading its packets once.

Legend: N frames, K key frames. Presentation times are integers in units of the index's
``time_base``; frames are numbered in the order in which they are shown.

The packets tell the truth where headers do not: edit lists (packets marked
*discard* are never shown), transport streams, variable rates, Matroska without a
duration. Packets before the first decodable frame (a stream cut between key
frames) are left out, found by decoding up to the first picture. Where packets
cannot tell (``egolib.video.scan``), the file is decoded once, and frames are then
found by counting from its start.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.video.container import truncation
from egolib.video.orientation import Orientation, orientation_of
from egolib.video.scan import (
    UNKNOWN,
    Decoded,
    Scan,
    agree,
    needs_decoding,
    scan_frames,
    scan_packets,
    times_of,
)
from egolib.video.source import VideoWarning, check_file, open_container, video_stream
from egolib.video.structure import damage_inside
from egolib.video.timing import exact_rate


@dataclass(frozen=True)
class FrameIndex:
    """The frames of one video stream of a file.

    Attributes:
        times: (N,) int64, strictly increasing presentation times.
        keys: (K,) int64, the frame numbers of key frames.
        key_dts: (K,) int64, decoding times of the key frames.
        time_base: seconds per unit of time.
        rate: average frames per second, as ``exact_rate`` gives it.
        end: presentation time at which the last frame ends.
        width, height: size of the stored picture (before rotation).
        orientation: how players turn and mirror the picture.
        read_error: what is wrong with the file (it ends early, bytes inside it are lost), as
            a sentence; or None.
        counted: a frame is found only by counting from the start of the file.
    """

    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    key_dts: NDArray[np.int64]
    time_base: Fraction
    rate: Fraction
    end: int
    width: int
    height: int
    orientation: Orientation
    read_error: str | None
    counted: bool = False

    def __len__(self) -> int:
        return len(self.times)

    def seconds(self, time: int) -> float:
        """A time in this index's units as seconds."""
        return float(int(time) * self.time_base)

    def last_key(self, frame: int) -> int:
        """Position in ``keys`` of the last key frame at or before a frame (-1: none)."""
        return int(np.searchsorted(self.keys, frame, side="right")) - 1


def frame_index(path: str | Path, stream: int | None = None) -> FrameIndex:
    """The index of a video file; indices of files that did not change are remembered.

    Args:
        path: the file.
        stream: which of its video streams; see ``video_stream``.

    Raises:
        EgolibError: the file is missing, is no video, or has no decodable frame.
    """
    path = check_file(path)
    state = path.stat()
    return _remembered(path.absolute(), state.st_size, state.st_mtime_ns, stream)


@lru_cache(maxsize=256)
def _remembered(path: Path, size: int, changed: int, number: int | None) -> FrameIndex:
    with open_container(path) as container:
        stream = video_stream(container, path, number)
        lost = damage_inside(path, stream.frames)
        scan = scan_packets(container, stream, lost.byte if lost else None)
        if not needs_decoding(container.format.name, stream, scan) and scan.first is not None:
            return _from_packets(path, stream, scan, lost.what if lost else None)
        decoded = scan_frames(path, number, lost.byte if lost else None)
        if decoded.first is None:
            cut = truncation(path)
            raise EgolibError(
                f"no frame can be decoded{f': {cut}' if cut else ''}",
                file=path,
                remedy="copy or download it again",
            )
        damage = lost.what if lost else None
        if decoded.lost is None and agree(container.format.name, scan, decoded):
            return _from_packets(path, stream, scan, damage)
        return _from_frames(path, stream, decoded, _error(path, scan, damage))


def _error(path: Path, scan: Scan, damage: str | None) -> str | None:
    """What the containers and packets of a file say to be wrong with it."""
    if damage:
        return f"the video is damaged: {damage}"
    cut = truncation(path) or scan.stopped or ("its last packet is cut" if scan.cut else None)
    return f"the video is truncated: {cut}" if cut else None


def _from_packets(path: Path, stream: VideoStream, scan: Scan, damage: str | None) -> FrameIndex:
    assert scan.first is not None and scan.first.pts is not None
    error = _error(path, scan, damage)
    packets = scan.packets[: -1 if scan.cut else None]
    packets = packets[packets[:, 0] >= scan.first.pts]
    if error:
        packets = _whole(packets)
        error = f"{error}; frames before {len(packets)} are whole"
    times, dts, durations, is_key = packets[np.argsort(packets[:, 0])].T
    keys = np.flatnonzero(is_key)
    _tell_gaps(path, times)
    return FrameIndex(
        times=times.copy(),
        keys=keys,
        key_dts=dts[keys],
        time_base=_time_base(stream),
        rate=_rate(stream, times),
        end=_end(times, durations),
        width=scan.first.width,
        height=scan.first.height,
        orientation=orientation_of(scan.first),
        read_error=error,
    )


def _from_frames(
    path: Path, stream: VideoStream, decoded: Decoded, error: str | None
) -> FrameIndex:
    assert decoded.first is not None
    if decoded.lost is not None and not error:
        error = "the video is damaged: a packet cannot be decoded"
    count = len(decoded.times) if decoded.lost is None else decoded.lost
    error = f"{error}; frames before {count} are whole" if error else None
    stated = _stated(stream)
    times, unit = times_of(decoded, stated)
    durations = decoded.durations[:count] if unit is None else np.ones(count, np.int64)
    base = _time_base(stream) if unit is None else unit
    about = "" if unit is None else f"; it states no times: {float(stated):g} frames a second"
    _tell(path, f"frames can only be found by decoding from its start{about}")
    return FrameIndex(
        times=times[:count],
        keys=np.flatnonzero(decoded.keys[:count]),
        key_dts=times[:count][decoded.keys[:count]],
        time_base=base,
        rate=stated if unit else _measured(stated, times[:count], base),
        end=_end(times[:count], durations),
        width=decoded.first.width,
        height=decoded.first.height,
        orientation=orientation_of(decoded.first),
        read_error=error,
        counted=True,
    )


def _tell(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", VideoWarning, stacklevel=2)


def _tell_gaps(path: Path, times: NDArray[np.int64]) -> None:
    """Tells frames that are missing from a file of otherwise constant rate."""
    if path.suffix.lower() not in _GAPS_ARE_LOSSES or len(times) < 3:
        return
    steps = np.diff(times)
    usual = np.median(steps)
    long = np.flatnonzero(steps > 1.5 * usual)
    steady = np.abs(steps - usual) <= np.maximum(1, 0.1 * usual)
    if len(long) and steady.sum() + len(long) == len(steps) and len(long) <= len(steps) / 10:
        missing = int((np.round(steps[long] / usual) - 1).sum())
        _tell(path, f"about {missing} frames are missing, the first after frame {int(long[0])}")


#: Containers that name no duration for each frame: a longer step is a lost packet.
_GAPS_ARE_LOSSES = {".mkv", ".webm", ".avi"}


def _whole(packets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The packets before the first gap of a file that ends early.

    A missing packet is decoded after the last one read and shown no earlier than
    it is decoded, so everything shown up to that decoding time is there.
    """
    shown: NDArray[np.bool_] = packets[:, 0] <= packets[:, 1].max(initial=UNKNOWN)
    return packets[shown]


def _end(times: NDArray[np.int64], durations: NDArray[np.int64]) -> int:
    """When the last frame ends: by its own duration, else by the usual one."""
    if not len(times):
        return 0
    usual = np.median(durations) or (times[-1] - times[0]) / max(len(times) - 1, 1)
    return int(times[-1] + (durations[-1] or usual))


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None
    return Fraction(stream.time_base)


def _stated(stream: VideoStream) -> Fraction:
    """The rate that a container states, for raw streams the one of the codec's own head."""
    head = stream.codec_context.framerate if stream.start_time is None else None
    return exact_rate(head or stream.average_rate or stream.guessed_rate or 25)


def _rate(stream: VideoStream, times: NDArray[np.int64]) -> Fraction:
    """The stated average rate; where the file states none, that of the times."""
    if stream.average_rate:
        return exact_rate(stream.average_rate)
    return _measured(exact_rate(stream.guessed_rate or 1), times, _time_base(stream), 0.0)


def _measured(
    stated: Fraction, times: NDArray[np.int64], unit: Fraction, slack: float = 0.005
) -> Fraction:
    """The rate of the times themselves, where the stated one is further off than the slack
    or, for a standard rate, than a frame at the end. A standard rate is preferred within
    what the rounding of times allows.
    """
    if len(times) < 2:
        return stated
    span = int(times[-1] - times[0]) * unit
    found = (len(times) - 1) / span
    likely = stated.denominator in (1, 1001) and abs(found - stated) * span <= Fraction(3, 2)
    if likely or abs(found - stated) <= slack * found:
        return stated
    whole = Fraction(round(found))
    for standard in (whole, whole * 1000 / 1001):
        if standard and abs(found - standard) <= 2 * found * unit / span:
            return standard
    return exact_rate(found)
