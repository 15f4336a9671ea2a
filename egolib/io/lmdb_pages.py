"""The pages of an LMDB, checked before the library maps them.

LMDB trusts its file: a page number or a size that leads out of the mapped file ends the process,
without an error. Here the tree of pages is walked with ordinary reads, every number is compared
with the file's size, and only then is the file given to the library. Leaf pages hold the keys;
large values lie on pages of their own, of which only the first bytes are read.

The layout is that of LMDB 0.9 on 64-bit machines (lmdb.h, mdb.c): pages with a header of 16 bytes,
two pages that describe the database, little-endian numbers.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from egolib.errors import EgolibError

_MAGIC = 0xBEEFC0DE
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 1, 2, 4, 8
_BIG = 1  # the value of a node lies on pages of its own
_INTEGER_KEYS = 8  # the usual flag of the list of free pages
_NO_PAGE = (1 << 64) - 1
_DEEPEST = 30
_HEADER = struct.Struct("<Q 2x H H H")  # number, flags, end of the pointers, start of the nodes
_NODE = struct.Struct("<H H H H")  # low and high half of a size or number, flags, length of the key
# magic, version, page size, flags of the free list, of the database, depth, root, last, transaction
_META = struct.Struct("<16x I I 16x I H 42x 4x H H 32x Q Q Q")


@dataclass(frozen=True)
class _Database:
    """What one of the two describing pages says."""

    page: int
    flags: tuple[int, int]
    depth: int
    root: int
    last: int
    transaction: int


def check_lmdb(file: Path) -> None:
    """Walks all pages that the library would follow.

    Args:
        file: ``data.mdb``.

    Raises:
        EgolibError: no LMDB, a truncated one, or a page that is damaged.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        try:
            _Walk(stream, size, _database(stream)).run()
        except _Damaged as error:
            raise EgolibError(str(error), file=file, remedy="copy it again") from None


class _Damaged(Exception):
    """What is wrong with a database."""


def _database(stream: IO[bytes]) -> _Database:
    """The newer of the two descriptions."""
    first = _describe(stream, 0)
    second = _describe(stream, first.page)
    if first.page != second.page:
        raise _Damaged("not a readable LMDB: two sizes of pages")
    found = first if first.transaction >= second.transaction else second
    if found.flags[0] not in (0, _INTEGER_KEYS) or found.flags[1]:
        raise _Damaged(f"an LMDB with the options {found.flags}, plain ones are read")
    return found


def _describe(stream: IO[bytes], offset: int) -> _Database:
    stream.seek(offset)
    data = stream.read(_META.size)
    if len(data) < _META.size:
        raise _Damaged("not a readable LMDB: it ends within its first pages")
    magic, version, page, free_flags, flags, depth, root, last, transaction = _META.unpack(data)
    if magic != _MAGIC or version != 1 or not _HEADER.unpack_from(data)[1] & _META_PAGE:
        raise _Damaged("not a readable LMDB")
    if page not in (1 << power for power in range(9, 17)):
        raise _Damaged(f"not a readable LMDB: pages of {page} bytes")
    return _Database(page, (free_flags, flags), depth, root, last, transaction)


class _Walk:
    """A walk over the tree of pages."""

    def __init__(self, stream: IO[bytes], size: int, about: _Database) -> None:
        self.stream, self.size, self.about = stream, size, about
        self.seen: set[int] = set()

    def run(self) -> None:
        needed = (self.about.last + 1) * self.about.page
        if self.size < needed:
            raise _Damaged(f"the LMDB is truncated: {self.size} bytes of {needed}")
        if self.about.root == _NO_PAGE:
            return
        waiting = [(self.about.root, 1)]
        while waiting:
            number, depth = waiting.pop()
            if depth > min(self.about.depth, _DEEPEST):
                raise _Damaged(f"page {number} of the LMDB lies too deep")
            waiting += [(below, depth + 1) for below in self._page(number)]

    def _page(self, number: int) -> list[int]:
        """Checks a page; returns those below it."""
        if not 2 <= number <= self.about.last or number in self.seen:
            raise _Damaged(f"the LMDB refers to page {number} twice, or it has no such page")
        self.seen.add(number)
        data = self._read(number * self.about.page, self.about.page)
        own, flags, lower, upper = _HEADER.unpack_from(data)
        if own != number or flags not in (_BRANCH, _LEAF):
            raise _Damaged(f"page {number} of the LMDB is damaged")
        count = (lower - _HEADER.size) // 2
        if lower % 2 or not _HEADER.size <= lower <= upper <= len(data):
            raise _Damaged(f"page {number} of the LMDB is damaged")
        if count < (2 if flags == _BRANCH else 1):
            raise _Damaged(f"page {number} of the LMDB has too few entries")
        pointers = struct.unpack_from(f"<{count}H", data, _HEADER.size)
        nodes = [self._node(data, pointer, upper, number) for pointer in pointers]
        if flags == _BRANCH:
            return [low | high << 16 | more << 32 for low, high, more, _ in nodes]
        for pointer, node in zip(pointers, nodes, strict=True):
            self._value(data, pointer, node, number)
        return []

    def _node(self, data: bytes, pointer: int, upper: int, number: int) -> tuple[int, ...]:
        if not upper <= pointer <= len(data) - _NODE.size:
            raise _Damaged(f"page {number} of the LMDB is damaged")
        node: tuple[int, ...] = _NODE.unpack_from(data, pointer)
        if pointer + _NODE.size + node[3] > len(data):
            raise _Damaged(f"a key on page {number} of the LMDB leaves the page")
        return node

    def _value(self, data: bytes, pointer: int, node: tuple[int, ...], number: int) -> None:
        """Checks that the value of an entry lies inside its page or inside the file."""
        low, high, flags, key = node
        size, start = low | high << 16, pointer + _NODE.size + key
        if flags == 0 and start + size <= len(data):
            return
        if flags != _BIG or start + 8 > len(data):
            raise _Damaged(f"a value on page {number} of the LMDB leaves the page")
        first = int.from_bytes(data[start : start + 8], "little")
        pages = -(-(_HEADER.size + size) // self.about.page)
        if not 2 <= first <= self.about.last + 1 - pages:
            raise _Damaged(f"a value on page {first} of the LMDB leaves the file")
        own, kind, *_ = _HEADER.unpack_from(self._read(first * self.about.page, _HEADER.size))
        if own != first or kind != _OVERFLOW:
            raise _Damaged(f"page {first} of the LMDB is damaged")

    def _read(self, offset: int, count: int) -> bytes:
        data = os.pread(self.stream.fileno(), count, offset)
        if len(data) != count:
            raise _Damaged("the LMDB is truncated")
        return data
