"""One pass over the packets of a video file, and one over its decoded frames.

Packets tell quickly when each frame is shown, if their container keeps presentation
times. AVI, ASF and MXF keep decoding times, MPEG program streams keep a time now and
then, and raw streams none: there only decoding from the start tells the frames and
their order.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from egolib.video.source import open_container, reason, video_stream

UNKNOWN = -(2**63)  # FFmpeg's mark of an absent time stamp

#: Containers whose packets carry decoding times: right as long as no frame is reordered.
_DECODING_TIMES = {"avi", "asf", "mxf", "mxf_d10", "mxf_opatom"}
#: Containers in which a seek ends anywhere, or whose packets carry no times of their own.
_NO_TIMES = {"mpeg", "vob", "svcd", "dvd", "vcd", "h264", "hevc", "vvc", "m4v", "mpegvideo", "av1",
             "obu", "ivf_raw", "dirac", "vc1", "cavsvideo", "h261", "h263", "mjpeg"}  # fmt: skip


@dataclass
class Scan:
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

    @property
    def distinct(self) -> bool:
        """Whether every packet has a presentation time of its own."""
        times = self.packets[:, 0]
        return bool((times != UNKNOWN).all()) and len(np.unique(times)) == len(times)

    @property
    def in_file_order(self) -> bool:
        """Whether frames are shown in the order in which they are stored."""
        return bool((np.diff(self.packets[:, 0]) > 0).all())


@dataclass
class Decoded:
    """What decoding a whole file gave.

    Attributes:
        times: (N,) int64 presentation times in the order of the decoder, the order of showing.
        durations: (N,) int64, 0 where unknown.
        keys: (N,) bool.
        reordered: some frame is predicted from a later one.
        first: the first picture.
        lost: number of frames before the first packet that could not be decoded, or None.
    """

    times: NDArray[np.int64]
    durations: NDArray[np.int64]
    keys: NDArray[np.bool_]
    reordered: bool
    first: VideoFrame | None
    lost: int | None


def scan_packets(
    container: av.container.InputContainer, stream: VideoStream, end: int | None
) -> Scan:
    """Reads all packets of a stream; decodes until there is a first picture.

    Args:
        container: the opened file.
        stream: of the file.
        end: the byte from which on the container is damaged; packets after it are left out.
    """
    packets, first, stopped, cut = array("q"), None, None, False
    try:
        for packet in container.demux(stream):
            if _after(packet, end):
                break
            first = first or next(iter(pictures_of(packet)), None)
            if packet.size and not packet.is_discard:
                packets.extend(_row(packet))
                cut = packet.is_corrupt
    except av.error.FFmpegError as error:
        stopped = reason(error)
    return Scan(np.array(packets, np.int64).reshape(-1, 4), first, stopped, cut)


def scan_frames(path: Path, number: int | None, end: int | None) -> Decoded:
    """Decodes a whole stream once.

    Args:
        path: the file.
        number: of the video stream; see ``video_stream``.
        end: the byte from which on the container is damaged: decoding ends there.
    """
    rows, first, reordered, lost = array("q"), None, False, None
    with open_container(path) as container:
        for packet in container.demux(video_stream(container, path, number)):
            if _after(packet, end):
                break
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                lost = len(rows) // 3 if lost is None and rows else lost
                continue
            for frame in frames:
                first = first or frame
                reordered = reordered or frame.pict_type == PictureType.B
                pts = UNKNOWN if frame.pts is None else frame.pts
                rows.extend((pts, frame.duration or 0, int(frame.key_frame)))
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Decoded(table[:, 0], table[:, 1], table[:, 2] > 0, reordered, first, lost)


def needs_decoding(container: str, stream: VideoStream, scan: Scan) -> bool:
    """Whether packets alone cannot tell the frames of a file.

    Args:
        container: FFmpeg's name of the format.
        stream: the video stream, after its packets were read.
        scan: its packets.
    """
    kinds = set(container.split(","))
    if kinds & _NO_TIMES or not scan.distinct:
        return True
    if stream.codec_context.codec.intra_only:
        return False
    doubtful = bool(stream.codec_context.has_b_frames) and scan.in_file_order
    return doubtful or bool(kinds & _DECODING_TIMES)


def agree(container: str, scan: Scan, decoded: Decoded) -> bool:
    """Whether packets told the same frames, in the same order, as decoding did.

    Args:
        container: the format's names, as FFmpeg gives them.
        scan: what the packets told.
        decoded: what decoding gave.
    """
    kinds = set(container.split(","))
    if kinds & _NO_TIMES or not scan.distinct or (kinds & _DECODING_TIMES and decoded.reordered):
        return False
    shown = np.sort(scan.packets[:, 0])
    return np.array_equal(shown[shown >= decoded.times.min(initial=0)], decoded.times)


def times_of(decoded: Decoded, rate: Fraction) -> tuple[NDArray[np.int64], Fraction | None]:
    """Presentation times of decoded frames, strictly increasing.

    The decoder's own, sorted where they are decoding times; else frames are counted at
    the stated rate.

    Args:
        decoded: the frames.
        rate: frames per second that the file states.

    Returns:
        (N,) times, and their unit in seconds (None: the stream's own).
    """
    times = np.sort(decoded.times)
    if len(times) and times[0] != UNKNOWN and (np.diff(times) > 0).all():
        return times, None
    return np.arange(len(times), dtype=np.int64), 1 / rate


def pictures_of(packet: av.Packet[Any]) -> list[VideoFrame]:
    """The pictures that a packet completes; none where it cannot be decoded."""
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return []


def _after(packet: av.Packet[Any], end: int | None) -> bool:
    return end is not None and (packet.pos is None or packet.pos >= end)


def _row(packet: av.Packet[Any]) -> tuple[int, int, int, int]:
    pts = UNKNOWN if packet.pts is None else packet.pts
    dts = pts if packet.dts is None else packet.dts
    return pts, dts, packet.duration or 0, int(packet.is_keyframe)
