"""Whether a file ends before its container says it does.

ISO media (mp4, mov), Matroska and RIFF state their sizes; a transport stream
consists of whole packets of 188 bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_TS_PACKET, _TS_SYNC = 188, 0x47


def truncation(path: str | Path) -> str | None:
    """A sentence such as ``it states 900 bytes and has 600``; None if nothing is missing.

    Containers without a stated size (live Matroska, a transport stream cut between
    packets) cannot tell.
    """
    have = os.path.getsize(path)
    if have == 0:
        return "it is empty"
    with open(path, "rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            return _iso(file, have)
        if head[:4] == b"RIFF":
            return _riff(file, have)
        if is_matroska(head):
            return _matroska(file, have)
        if head[:1] == bytes([_TS_SYNC]) and have > _TS_PACKET:
            file.seek(_TS_PACKET)
            if file.read(1) == bytes([_TS_SYNC]) and have % _TS_PACKET:
                return "it ends inside a transport packet"
    return None


def _compare(stated: int, have: int) -> str | None:
    return f"it states {stated:,} bytes and has {have:,}" if stated > have else None


def _iso(file: BinaryIO, have: int) -> str | None:
    """Walks the boxes of the top level; each states its size."""
    position, kinds = 0, set()
    while position < have:
        file.seek(position)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        elif size == 0:  # up to the end of the file
            size = have - position
        if size < 8 or not kind.isalnum():
            break  # padding after the last box
        kinds.add(kind)
        position += size
    if position > have:
        return _compare(position, have)
    return None if b"moov" in kinds else "its table of frames is missing (writing was interrupted)"


def _riff(file: BinaryIO, have: int) -> str | None:
    """Walks the parts of a RIFF file (large AVI files have several).

    What was written into a pipe states no size: 0 or -1.
    """
    position = 0
    while position + 8 <= have:
        file.seek(position)
        head = file.read(8)
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or size in (0, 0xFFFFFFFF):
            return None
        position += 8 + size + size % 2
    return _compare(position - size % 2, have)


def is_matroska(head: bytes) -> bool:
    """Whether a file that starts so is Matroska or WebM."""
    return int.from_bytes(head[:4], "big") == _EBML


def _matroska(file: BinaryIO, have: int) -> str | None:
    """Reads the header element and the stated size of the segment after it."""
    file.seek(0)
    _, header = element(file)
    if header is None:
        return None
    file.seek(header, os.SEEK_CUR)
    name, size = element(file)
    if name != _SEGMENT or size is None:
        return None
    return _compare(file.tell() + size, have)


def element(file: BinaryIO) -> tuple[int, int | None]:
    """Name (-1: none) and content size of the next Matroska element; None for an open size."""
    name = _variable_length(file, keep_marker=True)
    size = _variable_length(file, keep_marker=False)
    return (-1 if name is None else name), size


def _variable_length(file: BinaryIO, keep_marker: bool) -> int | None:
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()  # the leading zeros tell the number of bytes
    value = int.from_bytes(first + file.read(width - 1), "big")
    if keep_marker:
        return value
    value &= (1 << 7 * width) - 1
    return None if value == (1 << 7 * width) - 1 else value
