"""Whether bytes inside a container were lost: its elements must follow one another.

Decoders look for the next sound element and go on, so that frames vanish without a
word. Matroska (RFC 8794 and 9559) and RIFF consist of elements that state their sizes;
the walk over them reads a few bytes of each.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from egolib.video.container import element, is_matroska

_SEGMENT, _CLUSTER, _EBML = 0x18538067, 0x1F43B675, 0x1A45DFA3
_ANYWHERE = {0xEC, 0xBF}  # filling, checksum
_IN_SEGMENT = {
    0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367,
} | _ANYWHERE  # fmt: skip
_IN_CLUSTER = {0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF} | _ANYWHERE
_CHUNK = re.compile(rb"[0-9a-fA-F]{2}(?:dc|db|wb|tx|pc|sb|iv)|ix[0-9]{2}|idx1|[A-Z0-9 ]{4}")


@dataclass(frozen=True)
class Loss:
    """A place where a container's elements do not follow one another.

    Attributes:
        byte: where the sound part ends.
        what: one sentence.
    """

    byte: int
    what: str


def damage_inside(path: str | Path, stated_frames: int = 0) -> Loss | None:
    """The first place in a Matroska, WebM or AVI file where elements are lost.

    Args:
        path: the file.
        stated_frames: how many frames its header promises; 0 if it does not say.
    """
    have = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        if is_matroska(head):
            byte = _matroska(file, have)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            byte, chunks = _avi(file, have)
            if byte is not None and chunks >= stated_frames > 0:
                byte = None  # strange bytes between the chunks, but none is lost
        else:
            return None
    if byte is None:
        return None
    return Loss(byte, f"{have - byte:,} of {have:,} bytes follow a gap at byte {byte:,}")


# ------------------------------------------------------------------------ Matroska


def _matroska(file: BinaryIO, have: int) -> int | None:
    file.seek(0)
    _, header = element(file)
    file.seek(file.tell() + (header or 0))
    name, size = element(file)
    if name != _SEGMENT:
        return None
    end = have if size is None else min(file.tell() + size, have)
    while file.tell() < end:
        start = file.tell()
        name, size = element(file)
        if name == _CLUSTER:
            lost = _cluster(file, end if size is None else min(file.tell() + size, end), size)
            if lost is not None:
                return lost
        elif name == _EBML:
            return None  # another file follows
        elif name not in _IN_SEGMENT or size is None:
            return start if file.tell() < end else None
        else:
            file.seek(size, os.SEEK_CUR)
    return None


def _cluster(file: BinaryIO, end: int, size: int | None) -> int | None:
    """Walks the blocks of a cluster; the file then stands behind it."""
    while file.tell() < end:
        start = file.tell()
        name, length = element(file)
        if size is None and name in _IN_SEGMENT - _ANYWHERE:  # a cluster without a size ends here
            file.seek(start)
            return None
        if name not in _IN_CLUSTER or length is None:
            return start if file.tell() < end else None
        file.seek(length, os.SEEK_CUR)
    return None


# ----------------------------------------------------------------------------- AVI


def _avi(file: BinaryIO, have: int) -> tuple[int | None, int]:
    """The first strange byte, and how many video chunks lie before it."""
    position, chunks = 0, 0
    while position + 8 <= have:
        file.seek(position)
        head = file.read(12)
        kind, size = head[:4], int.from_bytes(head[4:8], "little")
        if not _CHUNK.fullmatch(kind):
            return position, chunks
        chunks += kind[2:] in (b"dc", b"db")
        if kind == b"RIFF" or (kind == b"LIST" and head[8:12] in (b"movi", b"rec ")):
            position += 12  # its chunks follow
        else:
            position += 8 + size + size % 2
    return None, chunks
