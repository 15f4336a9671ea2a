"""H.264 files: a writer for drawn frames, and cuts at key frames without encoding again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from egolib.io.records import atomic_path
from egolib.video.encode import repeatable_x264
from egolib.world.settings import WorldSettings

KEY_INTERVAL = 10  # frames
# Closed groups without B-frames: every key frame is a place to cut, and no file needs
# an edit list.
X264 = f"keyint={KEY_INTERVAL}:min-keyint={KEY_INTERVAL}:scenecut=0:bframes=0:threads=1"


class Encoder:
    """Writes frames to an mp4 of constant rate; use as a context manager."""

    def __init__(self, path: Path, settings: WorldSettings):
        self._output = av.open(str(path), "w")
        self._stream = self._output.add_stream("libx264", rate=settings.fps)
        self._stream.width, self._stream.height = settings.view_width, settings.view_height
        self._stream.pix_fmt = "yuv420p"
        self._stream.thread_count = 1
        self._stream.codec_context.gop_size = KEY_INTERVAL
        parts = [X264, *repeatable_x264().values()]
        self._stream.options = {
            "preset": settings.encoder_preset,
            "crf": str(settings.crf),
            "x264-params": ":".join(parts),
        }

    def write(self, image: np.ndarray) -> None:
        """Adds one (H, W, 3) uint8 RGB frame."""
        self._output.mux(self._stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._output.mux(self._stream.encode())
        self._output.close()


def cut(source: Path, target: Path, start_sec: int, length_sec: int, fps: int) -> Path:
    """Copies a part of a video, packet by packet; both ends must be key frames.

    Args:
        source: the whole video.
        target: the part.
        start_sec: where the part begins.
        length_sec: how long it is.
        fps: frames per second.
    """
    first, last = start_sec * fps, (start_sec + length_sec) * fps
    with (
        atomic_path(target) as temporary,
        av.open(str(source)) as content,
        av.open(str(temporary), "w", format="mp4") as output,
    ):
        stream = content.streams.video[0]
        assert stream.time_base is not None
        copy = output.add_stream_from_template(stream)
        ticks = Fraction(1, fps) / stream.time_base
        for packet in content.demux(stream):
            if packet.pts is None or not first <= round(packet.pts / ticks) < last:
                continue
            packet.pts = packet.dts = packet.pts - int(first * ticks)
            packet.stream = copy
            output.mux(packet)
    return target
