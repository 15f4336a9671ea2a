"""MATLAB 5 files: their structure is checked before SciPy reads them.

SciPy's compiled reader trusts the file: an element of another kind than expected, inside a cell,
ends the process. Every element is walked here first; the format is MathWorks' "MAT-File Format",
version 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHARACTERS = 1, 2, 4
_COMPLEX = 0x800
#: Bytes of a value, by type of element.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_NUMBERS = range(6, 16)  # classes of arrays
_DEEPEST = 20
_LARGEST = 1 << 30  # bytes that a compressed variable may hold


def load_mat(path: str | Path, name: str) -> Any:
    """One variable of a MATLAB 5 file, as ``scipy.io.loadmat`` gives it.

    Args:
        path: the file.
        name: of the variable.

    Raises:
        EgolibError: no such file, not MATLAB 5, damaged, or without the variable.
    """
    from scipy.io import loadmat

    path = Path(path)
    if not path.is_file():
        raise EgolibError("the file does not exist", file=path)
    data = path.read_bytes()
    if data[:128].startswith(b"MATLAB 7.3") or data[:4] == b"\x89HDF":
        raise EgolibError(
            "a MATLAB 7.3 file, which is HDF5",
            file=path,
            remedy="save it with -v7 in MATLAB, or use the published file",
        )
    try:
        _check(data)
        content = loadmat(str(path), variable_names=[name])
    except Exception as error:  # a damaged file can raise nearly anything
        raise EgolibError(f"not a MATLAB 5 file: {error}", file=path) from error
    if name not in content:
        raise EgolibError(f"no variable {name}", file=path)
    return content[name]


def _check(data: bytes) -> None:
    """Raises ValueError where an element is not what the format wants."""
    if len(data) < 136 or data[126:128] != b"IM":
        raise ValueError("no header")
    for kind, part in _elements(data[128:], packed=False):
        if kind == _COMPRESSED:
            for inner, body in _elements(_inflated(part)):
                _matrix(inner, body, 0)
        else:
            _matrix(kind, part, 0)


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    found = stream.decompress(data, _LARGEST)
    if stream.unconsumed_tail:
        raise ValueError("a variable of more than 1 GiB")
    return found


def _elements(data: bytes, *, packed: bool = True) -> Iterator[tuple[int, bytes]]:
    """Type and content of consecutive elements."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("an element ends early")
        kind, size = struct.unpack_from("<II", data, place)
        start = place + 8
        if kind >> 16:  # a short element: size and type in one word
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise ValueError("an element ends early")
        if start + size > len(data):
            raise ValueError("an element leaves the file")
        yield kind, data[start : start + size]
        aligned = start + size if kind == _COMPRESSED else -(-(start + size) // 8) * 8
        place = max(aligned, place + 8) if packed or kind != _COMPRESSED else start + size


def _matrix(kind: int, data: bytes, depth: int) -> None:
    """Checks an array with all that lies inside."""
    if kind != _MATRIX or depth > _DEEPEST:
        raise ValueError(f"an element of type {kind} in place of an array")
    if not data:
        return
    parts = list(_elements(data))
    if len(parts) < 3 or parts[0][0] != 6 or len(parts[0][1]) != 8 or parts[1][0] != 5:
        raise ValueError("an array without flags and sizes")
    flags = int.from_bytes(parts[0][1][:4], "little")
    sizes = struct.unpack(f"<{len(parts[1][1]) // 4}i", parts[1][1][: len(parts[1][1]) // 4 * 4])
    if len(sizes) < 2 or min(sizes) < 0 or parts[2][0] not in (1, 16):
        raise ValueError("an array without sizes or name")
    _content(flags, math.prod(sizes), parts[3:], depth)


def _content(flags: int, count: int, parts: list[tuple[int, bytes]], depth: int) -> None:
    """Checks what follows on an array's name."""
    kind = flags & 0xFF
    if kind == _STRUCT:
        if len(parts) < 2 or parts[0][0] != 5 or len(parts[0][1]) != 4 or parts[1][0] != 1:
            raise ValueError("a structure without names of fields")
        length = int.from_bytes(parts[0][1], "little")
        if not 0 < length <= 256 or len(parts[1][1]) % length:
            raise ValueError("a structure without names of fields")
        count, parts = count * (len(parts[1][1]) // length), parts[2:]
    if kind in (_CELL, _STRUCT):
        if len(parts) != count:
            raise ValueError(f"{len(parts)} cells in place of {count}")
        for inner, body in parts:
            _matrix(inner, body, depth + 1)
        return
    wanted = 2 if flags & _COMPLEX else 1
    numbers = kind in _NUMBERS
    if not (numbers or kind == _CHARACTERS) or len(parts) != wanted:
        raise ValueError(f"an array of class {kind}")
    for inner, body in parts:
        if inner not in _SIZES or (numbers and len(body) != count * _SIZES[inner]):
            raise ValueError(f"{len(body)} bytes for {count} values of type {inner}")
