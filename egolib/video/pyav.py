"""Exact random access to video frames with FFmpeg through PyAV.

A frame is identified by its presentation time, so what comes back is either the frame
asked for or an error. Where a file keeps no such times (its index is ``counted``),
frames are counted from its start, in the decoder's order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.video.index import FrameIndex, frame_index
from egolib.video.orientation import UPRIGHT, check_orientation
from egolib.video.picture import Converter, as_array
from egolib.video.source import open_container, video_stream

#: Decoding on over this many frames costs less than a seek.
_ROLL = 8
#: How many earlier key frames are tried before the file is decoded from its start.
_EARLIER_KEYS = 2

Damaged = Literal["refuse", "whole", "keep"]
Rotation = Literal["apply", "ignore"]


class PyAVFrames:
    """The frames of one file, each found by its presentation time.

    Args:
        path: the video file.
        damaged: ``refuse`` raises for files that end early or lost packets, for frames
            that the decoder had to repair, and for all frames shown after them up to the
            next key frame (they are predicted from them). ``whole`` offers the frames
            before the end or the loss; ``keep`` the repaired frames as well.
        rotation: ``apply`` turns and mirrors pictures as the file asks (as FFmpeg's tools
            and players do); ``ignore`` gives them as stored.
        threads: of the decoder.
        stream: which of the file's video streams; see ``video_stream``.

    Raises:
        EgolibError: the file is missing, not a video, truncated or damaged, or asks for a
            turn that is no multiple of 90 degrees.
    """

    backend = "av"

    def __init__(
        self,
        path: str | Path,
        damaged: Damaged = "refuse",
        rotation: Rotation = "apply",
        threads: int = 1,
        stream: int | None = None,
    ):
        self.path, self.damaged, self.threads, self.stream = Path(path), damaged, threads, stream
        self.index: FrameIndex = frame_index(self.path, stream)
        if damaged == "refuse" and self.index.read_error:
            raise EgolibError(
                self.index.read_error,
                file=self.path,
                record=f"frame {len(self.index)}",
                remedy="copy or download it again, or read its whole part with damaged='whole'",
            )
        self.orientation = UPRIGHT
        if rotation == "apply":
            self.orientation = check_orientation(self.index.orientation, self.path)
        self._rgb = Converter("rgb24", self.orientation)
        self._decoder: _Decoder | None = None
        self._current: tuple[int, VideoFrame] | None = None
        self._seek_by = ["pts", "dts"]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def read_error(self) -> str:
        """Empty, or a sentence that says what is lost of a file that is not whole."""
        return self.index.read_error or ""

    @property
    def rate(self) -> Fraction:
        """Frames per second."""
        return self.index.rate

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures as they are given out."""
        return self.orientation.size(self.index.width, self.index.height)

    def time_sec(self, frame: int) -> float:
        """Presentation time as the file states it."""
        return self.index.seconds(self.index.times[frame])

    @property
    def end_sec(self) -> float:
        """Presentation time at which the last frame ends."""
        return self.index.seconds(self.index.end)

    def shown_sec(self, frame: int) -> Fraction:
        """The same, exactly; behind the last frame the end."""
        time = self.index.times[frame] if frame < len(self.index) else self.index.end
        return int(time) * self.index.time_base

    def image(self, frame: int) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        return as_array(self._rgb(self.raw(frame)))

    def images(self, frames: list[int]) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) RGB of each of the ascending frame numbers."""
        return map(self.image, frames)

    def raw(self, frame: int) -> VideoFrame:
        """The frame as decoded (usually yuv420p, not rotated).

        Raises:
            EgolibError: the frame cannot be decoded whole, or has another size than the first.
        """
        if self._current is None or self._current[0] != frame:
            time = frame if self.index.counted else int(self.index.times[frame])
            found = self._decode_on(frame, time) or self._decode_from_key(frame, time)
            self._current = (frame, found) if found else None
        if self._current is None or (self._repaired() and self.damaged != "keep"):
            raise EgolibError(
                "the frame is damaged in the file"
                if self._current
                else "the frame cannot be decoded",
                file=self.path,
                record=f"frame {frame}",
                remedy="copy or download the file again; damaged='keep' accepts repaired frames",
            )
        self._check_size(frame, self._current[1])
        return self._current[1]

    def close(self) -> None:
        """Gives back the file and the decoder's memory; reading opens them again."""
        if self._decoder:
            self._decoder.close()
        self._decoder = self._current = None

    # ------------------------------------------------------------------ details

    def _check_size(self, number: int, frame: VideoFrame) -> None:
        size, first = (frame.width, frame.height), (self.index.width, self.index.height)
        if size != first:
            raise EgolibError(
                f"the pictures change from {first[0]}x{first[1]} to {size[0]}x{size[1]} pixels",
                file=self.path,
                record=f"frame {number}",
                remedy=f"bring them to one size: ffmpeg -i FILE -vf scale={first[0]}:{first[1]} "
                "NEW.mp4",
            )

    def _repaired(self) -> bool:
        return self._decoder is not None and self._decoder.repaired

    def _decode_on(self, frame: int, time: int) -> VideoFrame | None:
        """Decodes on from where we are, unless a key frame further on is the better start."""
        if self._decoder is None or self._current is None or frame < self._current[0]:
            return None
        key = -1 if self.index.counted else self.index.last_key(frame)
        if key >= 0 and int(self.index.keys[key]) - self._current[0] > _ROLL:
            return None
        return self._decoder.until(time)

    def _decode_from_key(self, frame: int, time: int) -> VideoFrame | None:
        """Seeks to the last key frame before it, to earlier ones, at last to the file's start."""
        decoder = self._decoder = self._decoder or self._open()
        last = -1 if self.index.counted else self.index.last_key(frame)
        for key in range(last, max(last - 1 - _EARLIER_KEYS, -1), -1):
            for clock in tuple(self._seek_by):
                decoder.seek(self._key_time(key, clock))
                if (found := decoder.until(time)) is not None:
                    self._seek_by.sort(key=lambda name: name != clock)  # works here: try it first
                    return found
        decoder.close()
        self._decoder = self._open()
        return self._decoder.until(time)

    def _open(self) -> _Decoder:
        return _Decoder(self.path, self.threads, self.stream, self.index.counted)

    def _key_time(self, key: int, clock: str) -> int:
        index = self.index
        return int(index.times[index.keys[key]] if clock == "pts" else index.key_dts[key])


class _Decoder:
    """A decoder that stands somewhere in the file and moves forward or seeks.

    ``repaired`` tells whether the frame given out last is damaged, or predicted
    (since the last key frame) from one that is.

    Args:
        path: see ``PyAVFrames``.
        threads: see ``PyAVFrames``.
        stream: see ``PyAVFrames``.
        counted: frames are told by their number from the start instead of their time.
    """

    def __init__(self, path: Path, threads: int, stream: int | None, counted: bool):
        self._container, self._counted = open_container(path), counted
        self._stream = video_stream(self._container, path, stream)
        self._stream.codec_context.thread_count = threads
        if threads != 1:
            self._stream.thread_type = "AUTO"
        self._length_bytes = _unit_length_bytes(self._stream)
        self._restart(await_key=False)

    def _restart(self, await_key: bool) -> None:
        self._packets = self._container.demux(self._stream)
        self._decoded: deque[VideoFrame] = deque()
        self._await_key = await_key
        self._damaged_from: int | None = None
        self._shown = 0
        self.repaired = False

    def seek(self, time: int) -> None:
        """Goes to the last key frame at or before a time, as far as the container can."""
        try:
            self._container.seek(time, stream=self._stream)
        except av.error.FFmpegError:  # no such place: `until` will find nothing
            self._packets = iter(())
            self._decoded.clear()
            return
        self._restart(await_key=True)

    def until(self, time: int) -> VideoFrame | None:
        """The frame of exactly that time (or number); None if decoding passes it or ends."""
        while True:
            while not self._decoded:
                if not self._decode_packet(time):
                    return None
            frame = self._decoded.popleft()
            place = self._shown if self._counted else frame.pts
            self._shown += 1
            if place is None:
                continue
            self._note_damage(frame, place)
            if place >= time:
                return frame if place == time else None

    def close(self) -> None:
        self._container.close()

    def _decode_packet(self, time: int) -> bool:
        """Decodes the next packet, or drops it where it is shown before ``time`` and not needed.

        Returns False at the end of the file.
        """
        packet = next(self._packets, None)
        if packet is None:
            return False
        if self._await_key and packet.size and not packet.is_keyframe:
            return True
        self._await_key = False
        if packet.pts is not None and packet.pts < time and self._dispensable(packet):
            return True
        intact = not packet.is_corrupt
        try:
            self._decoded.extend(packet.decode())
        except av.error.FFmpegError:
            intact = False
        if not intact and self._damaged_from is None:  # frames shown before its dts came before it
            since = packet.dts if packet.dts is not None else packet.pts
            self._damaged_from = self._shown if self._counted else since
        return True

    def _dispensable(self, packet: av.Packet[Any]) -> bool:
        """Whether an H.264 packet holds a picture that no other one refers to.

        Each unit's head byte states its kind (5 bits; 1 to 5 are parts of a picture,
        7 and 8 settings) and whether it is referred to (2 bits): ITU-T H.264, 7.3.1.
        """
        width = 0 if self._counted else self._length_bytes
        units, position = memoryview(packet), 0
        while width and position + width < len(units):
            head = units[position + width]
            if 1 <= head & 31 <= 5:
                return not head & 0x60
            if head & 31 in (7, 8):
                break
            position += width + int.from_bytes(units[position : position + width], "big")
        return False

    def _note_damage(self, frame: VideoFrame, place: int) -> None:
        start = self._damaged_from
        if frame.is_corrupt:
            self._damaged_from = place if start is None else min(start, place)
        elif start is not None and frame.key_frame and place > start:
            self._damaged_from = None
        self.repaired = self._damaged_from is not None and place >= self._damaged_from


def _unit_length_bytes(stream: VideoStream) -> int:
    """Bytes of the length before each unit of an H.264 packet; 0 where start codes mark them."""
    head = stream.codec_context.extradata or b""
    return (head[4] & 3) + 1 if stream.codec_context.name == "h264" and head[:1] == b"\1" else 0
