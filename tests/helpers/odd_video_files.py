"""Video files as recorders and broken disks write them; frames carry their numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.helpers.video_files import encode, picture

COUNT = 90
_B_FRAMES = {"bf": "2"}
_VOP = b"\0\0\1\xb6"
_NOT_CODED = _VOP + b"\x50\x80\x00\x7f"


def _old(codec: str, form: str, gop: int = 12) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        options = {} if codec.startswith("libx26") else _B_FRAMES
        encode(path, range(COUNT), 25, codec=codec, gop=gop, options=options, form=form)

    return write


def _packed_xvid(path: Path) -> None:
    """MPEG-4 as XviD stores it in AVI: a P and a B frame in one chunk, then an empty frame."""
    source = path.with_name("source.avi")
    options = {"bf": "1", "b_strategy": "0", "flags": "+bitexact", "sc_threshold": "1000000000"}
    encode(source, range(COUNT), 25, codec="mpeg4", gop=20, options=options)
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copied = output.add_stream_from_template(stream)
        for number, data in enumerate(_packed([bytes(p) for p in given.demux(stream) if p.size])):
            packet = av.Packet(data)
            packet.stream, packet.time_base = copied, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = _kind(data) == 0
            output.mux(packet)


def _kind(data: bytes) -> int:
    return data[data.index(_VOP) + 4] >> 6  # 0 key frame, 1 predicted, 2 from both sides


def _packed(frames: list[bytes]) -> list[bytes]:
    kinds, chunks, place = [_kind(frame) for frame in frames], [], 0
    while place < len(frames):
        if kinds[place] != 2 and kinds[place + 1 : place + 2] == [2]:
            chunks += [frames[place] + frames[place + 1], _NOT_CODED]
            place += 2
        else:
            chunks.append(frames[place])
            place += 1
    chunks[0] = chunks[0].replace(_VOP, b"\0\0\1\xb2DivX503b1393p" + _VOP, 1)
    return chunks


#: Kind -> suffix and a function that writes COUNT frames of it, at 25 a second.
COUNTED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "MPEG-1 program stream": (".mpg", _old("mpeg1video", "mpeg")),
    "MPEG-2 program stream": (".mpg", _old("mpeg2video", "mpeg")),
    "DVD": (".vob", _old("mpeg2video", "vob")),
    "MPEG-4 in a program stream": (".mpg", _old("mpeg4", "svcd", 30)),
    "H.264 in a program stream": (".mpg", _old("libx264", "mpeg", 30)),
    "H.264 in AVI": (".avi", _old("libx264", "avi", 30)),
    "MPEG-4 with B frames in AVI": (".avi", _old("mpeg4", "avi", 30)),
    "XviD, packed": (".avi", _packed_xvid),
    "H.264 in ASF": (".asf", _old("libx264", "asf", 30)),
    "MPEG-2 in ASF": (".asf", _old("mpeg2video", "asf")),
    "H.264 in MXF": (".mxf", _old("libx264", "mxf", 30)),
    "raw H.264": (".h264", _old("libx264", "h264", 30)),
    "raw MPEG-2": (".m2v", _old("mpeg2video", "mpeg2video")),
}


def write_matrix(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Writes (a, b, c, d) of a display matrix into the track header of an mp4."""
    a, b, c, d = (round(value * 65536) for value in matrix)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def lose(path: Path, first: float, last: float) -> None:
    """Overwrites a stretch of a file, given as fractions of its length, with zeros."""
    data = bytearray(path.read_bytes())
    start, end = round(first * len(data)), round(last * len(data))
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


def drop_packets(source: Path, path: Path, first: int, last: int) -> None:
    """Copies a video but for the packets first to last."""
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = given.streams.video[0]
        copied = output.add_stream_from_template(stream)
        for number, packet in enumerate(p for p in given.demux(stream) if p.size):
            if not first <= number <= last:
                packet.stream = copied
                output.mux(packet)


class _Pipe:
    """A file object that cannot seek."""

    def __init__(self, path: Path):
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)


def piped_avi(path: Path) -> None:
    """An AVI written into a pipe: its sizes and counts were never filled in."""
    output = av.open(_Pipe(path), "w", format="avi")
    stream = output.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    for number in range(COUNT):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
    output.mux(stream.encode())
    output.close()


def two_streams(path: Path, default: int, sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """Two video streams of 20 frames; those of stream 1 carry numbers from 100 on."""
    with av.open(str(path), "w") as output:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            mark = av.stream.Disposition.default
            stream.disposition = mark if number == default else av.stream.Disposition(0)
            streams.append(stream)
        for number in range(20):
            for place, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
                image = picture(number + 100 * place, *size)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        for stream in streams:
            output.mux(stream.encode())


def thumbnail_first(path: Path) -> None:
    """A video behind a stream of one JPEG picture that is not marked as a cover."""
    with av.open(str(path), "w") as output:
        still = output.add_stream("mjpeg", rate=25)
        still.width, still.height, still.pix_fmt = 320, 240, "yuvj420p"
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        image = np.zeros((240, 320, 3), np.uint8)
        output.mux(still.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        output.mux(still.encode())
        for number in range(20):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        output.mux(stream.encode())


def changing_size(path: Path) -> None:
    """30 frames of 160x120, then 30 of 320x240, in one transport stream."""
    parts = []
    for place, size in enumerate(((160, 120), (320, 240))):
        part = path.with_name(f"part{place}.ts")
        encode(part, range(30 * place, 30 * place + 30), 25, size=size)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
