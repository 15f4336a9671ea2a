"""Small videos of every awkward kind; each frame carries its number as a bar code.

``KINDS`` maps a kind to a function that writes it; ``make(kind, folder)`` gives the
path and the numbers that a viewer sees, in order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, BITS = 160, 120, 10
_BAR = 14


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(height, width, 3) picture: a moving pattern with the number as 10 black or white bars."""
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    grey = 128 + 60 * np.sin((column + 3 * number) / 9) + 30 * np.cos((row - number) / 7)
    image = np.stack([grey, np.roll(grey, number, 0), 255 - grey], -1).astype(np.uint8)
    for bit in range(BITS):
        image[8:32, 10 + bit * _BAR : 10 + (bit + 1) * _BAR] = 235 * (number >> bit & 1)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that a picture carries (its bars scale with the picture's width)."""
    scale_x, scale_y = image.shape[1] / WIDTH, image.shape[0] / HEIGHT
    strip = image[round(14 * scale_y) : round(26 * scale_y)].mean((0, 2))
    centres = [round((10 + (bit + 0.5) * _BAR) * scale_x) for bit in range(BITS)]
    return sum(int(strip[centre - 2 : centre + 3].mean() > 117) << bit for bit, centre in
               enumerate(centres))  # fmt: skip


def encode(
    path: Path,
    times: Sequence[int],
    rate: Fraction | int = 30,
    *,
    codec: str = "libx264",
    gop: int = 50,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    container: dict[str, str] | None = None,
    form: str | None = None,
    audio: bool = False,
) -> list[int]:
    """Writes pictures 0, 1, ... shown at the given multiples of a frame's duration."""
    output = av.open(str(path), "w", format=form, container_options=container or {})
    stream = output.add_stream(codec, rate=rate)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    stream.gop_size, stream.codec_context.thread_count = gop, 1
    stream.options = options or {}
    sound = output.add_stream("aac", rate=16000) if audio else None
    for number, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture(number, *size), "rgb24")
        frame.pts, frame.time_base = time, 1 / Fraction(rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())
    if sound:
        _hum(output, sound, times[-1] / Fraction(rate))
    output.close()
    return list(range(len(times)))


def _hum(output: av.container.OutputContainer, stream: Any, seconds: Fraction) -> None:
    samples = np.sin(np.arange(int(seconds * 16000)) / 20).astype(np.float32)[None]
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "mono"
        )
        frame.sample_rate, frame.pts = 16000, start
        output.mux(stream.encode(frame))
    output.mux(stream.encode())


def copy_from(source: Path, path: Path, first: int, options: dict[str, str] | None = None) -> None:
    """Stream-copies a video from picture ``first`` on, with the pictures that it needs before."""
    with av.open(str(source)) as given, av.open(str(path), "w", options=options or {}) as output:
        stream = given.streams.video[0]
        copied = output.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.size]
        zero = sorted(p.pts for p in packets)[first]
        key = max(p.pts for p in packets if p.is_keyframe and p.pts <= zero)
        start = next(i for i, p in enumerate(packets) if p.pts == key)
        for packet in packets[start:]:
            packet.pts, packet.dts = packet.pts - zero, packet.dts - zero
            packet.stream = copied
            output.mux(packet)


class _Pipe:
    """A file object that cannot seek, so that a container cannot complete its header."""

    def __init__(self, path: Path):
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


def _constant_mp4(path: Path) -> list[int]:
    return encode(path, range(300))


def _offset_mkv(path: Path) -> list[int]:
    return encode(path, range(75, 375))


def _mpegts(path: Path) -> list[int]:
    return encode(path, range(42, 342))  # with the reordering delay: starts at 1.47 s


def _edit_list_mp4(path: Path) -> list[int]:
    source = path.with_name("source.mp4")
    encode(source, range(300), gop=100)
    copy_from(source, path, first=148)
    return list(range(148, 300))


def _variable_mp4(path: Path) -> list[int]:
    gaps = np.random.default_rng(0).integers(1, 6, 150)
    return encode(path, np.cumsum(gaps).tolist(), 120)


def _open_gop_mp4(path: Path) -> list[int]:
    return encode(path, range(300), options={"x264-params": "open-gop=1:keyint=40:bframes=3"})


def _unstated_mkv(path: Path) -> list[int]:
    output = av.open(_Pipe(path), "w", format="matroska", options={"live": "1"})
    stream = output.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    for number in range(160):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
    output.mux(stream.encode())
    output.close()
    return list(range(160))


def _headless_mpegts(path: Path) -> list[int]:
    """A transport stream whose first packets lack their key frame."""
    source = path.with_name("source.ts")
    encode(source, range(200), gop=50)
    data = source.read_bytes()
    with av.open(str(source)) as container:
        keys = [p.pos for p in container.demux(video=0) if p.is_keyframe and p.size]
    path.write_bytes(data[: 188 * 3] + data[(keys[0] + keys[1]) // 2 // 188 * 188 :])
    return list(range(50, 200))


def _hevc_mkv(path: Path) -> list[int]:
    return encode(path, range(120), codec="libx265", options={"x265-params": "log-level=none"})


def _broadcast_mp4(path: Path) -> list[int]:
    return encode(path, range(120), Fraction(30000, 1001))


def _mpeg4_avi(path: Path) -> list[int]:
    return encode(path, range(120), codec="mpeg4", gop=30)


def _fragmented_mp4(path: Path) -> list[int]:
    flags = {"movflags": "frag_keyframe+empty_moov"}
    return encode(path, range(120), gop=30, container=flags)


def _intra_refresh_mp4(path: Path) -> list[int]:
    return encode(path, range(150), options={"x264-params": "intra-refresh=1:keyint=40"})


KINDS: dict[str, tuple[str, Callable[[Path], list[int]]]] = {
    "constant rate": (".mp4", _constant_mp4),
    "offset start": (".mkv", _offset_mkv),
    "transport stream": (".ts", _mpegts),
    "edit list": (".mp4", _edit_list_mp4),
    "variable rate": (".mp4", _variable_mp4),
    "open gop": (".mp4", _open_gop_mp4),
    "no stated length": (".mkv", _unstated_mkv),
    "transport stream cut before a key frame": (".ts", _headless_mpegts),
    "29.97": (".mp4", _broadcast_mp4),
    "hevc": (".mkv", _hevc_mkv),
    "mpeg4 avi": (".avi", _mpeg4_avi),
    "fragmented": (".mp4", _fragmented_mp4),
    "intra refresh": (".mp4", _intra_refresh_mp4),
}


def make(kind: str, folder: Path) -> tuple[Path, list[int]]:
    """Writes the kind into a folder; gives its path and the numbers shown, in order."""
    suffix, write = KINDS[kind]
    path = folder / f"video{suffix}"
    return path, write(path)


def numbers(images: Iterable[NDArray[np.uint8]]) -> list[int]:
    """The numbers that pictures carry."""
    return [number_of(image) for image in images]


def turn_by_metadata(path: Path, degrees: int) -> None:
    """Writes a display matrix into the track header of an mp4: turned counterclockwise."""
    cos, sin = {0: (1, 0), 90: (0, -1), 180: (-1, 0), 270: (0, 1)}[degrees]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = matrix
    path.write_bytes(data)


def damage(path: Path, first: int, last: int) -> int:
    """Overwrites the largest packet shown between two frames; gives its frame number."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        shown = sorted(p.pts for p in packets)
        places = {shown.index(p.pts): (p.pos, p.size) for p in packets}
    frame = max(range(first, last), key=lambda number: places[number][1])
    start, size = places[frame]
    head = 40 if path.suffix == ".ts" else 12
    data = bytearray(path.read_bytes())
    data[start + head : start + size] = bytes(size - head)
    path.write_bytes(data)
    return frame
