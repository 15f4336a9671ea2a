"""Copying the sound of a stretch of a video, unchanged, beside newly encoded pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from egolib.errors import EgolibError
from egolib.video.source import open_container


class Sound:
    """The packets of the first audio stream that start in [start_sec, end_sec).

    Args:
        source: the file to copy from.
        start_sec: presentation time in the source; it becomes 0.
        end_sec: presentation time in the source.
    """

    def __init__(self, source: str | Path, start_sec: Fraction, end_sec: Fraction):
        self.source = Path(source)
        self._start, self._end = start_sec, end_sec
        self._input = open_container(source)
        self._stream = next(iter(self._input.streams.audio), None)

    def attach(self, output: av.container.OutputContainer) -> None:
        """Adds the stream to a file, before its first packet; a silent source adds none."""
        if self._stream is None:
            return
        try:
            self._copy = output.add_stream_from_template(self._stream)
        except (ValueError, av.error.FFmpegError) as error:
            raise EgolibError(
                f"its sound ({self._stream.codec_context.name}) cannot be kept in an mp4 file",
                file=self.source,
                remedy="choose audio='drop'",
            ) from error
        self._output = output
        self._input.seek(round(self._start * av.time_base))
        self._packets = (packet for packet in self._input.demux(self._stream) if packet.size)
        self._next = self._following()

    def copy_until(self, sec: Fraction | None) -> None:
        """Writes the packets that start before a time of the new file (None: all)."""
        if self._stream is None:
            return
        while self._next is not None:
            assert self._next.pts is not None
            if sec is not None and self._next.pts * self._next.time_base >= sec:
                return
            self._next.stream = self._copy
            self._output.mux(self._next)
            self._next = self._following()

    def close(self) -> None:
        """Closes the source."""
        self._input.close()

    def _following(self) -> av.Packet[Any] | None:
        """The next packet of the stretch, its times counted from the start."""
        for packet in self._packets:
            if packet.pts is None or packet.pts * packet.time_base < self._start:
                continue
            if packet.pts * packet.time_base >= self._end:
                return None
            offset = round(self._start / packet.time_base)
            packet.pts -= offset
            packet.dts = packet.pts if packet.dts is None else packet.dts - offset
            return packet
        return None
