"""Crafted LMDB pages are refused before they are mapped: the library would end the process."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.io.foreign_features import write_lmdb
from egolib.io.lmdb_pages import check_lmdb

PAGE = 4096
FAR = 1 << 40


def write(folder: Path, entries: int = 6, width: int = 300) -> Path:
    rng = np.random.default_rng(0)
    write_lmdb(folder, ((f"u{number}", rng.random((5, width))) for number in range(entries)))
    return folder / "data.mdb"


def newest(data: bytearray) -> int:
    """Where the description of the newest state begins."""
    return max((0, PAGE), key=lambda at: struct.unpack_from("<Q", data, at + 144)[0])


def root(data: bytearray) -> int:
    return int(struct.unpack_from("<Q", data, newest(data) + 128)[0]) * PAGE


def first_node(data: bytearray) -> int:
    return root(data) + int(struct.unpack_from("<H", data, root(data) + 16)[0])


def value(data: bytearray) -> int:
    """Where the number of a large value's page stands."""
    node = first_node(data)
    return node + 8 + int(struct.unpack_from("<H", data, node + 6)[0])


CRAFTED = {
    "fixed address": lambda d: struct.pack_into("<H", d, newest(d) + 44, 9),
    "sorted values": lambda d: struct.pack_into("<H", d, newest(d) + 92, 4),
    "root outside": lambda d: struct.pack_into("<Q", d, newest(d) + 128, FAR),
    "root is a description": lambda d: struct.pack_into("<Q", d, newest(d) + 128, 0),
    "no depth": lambda d: struct.pack_into("<H", d, newest(d) + 94, 0),
    "size of pages": lambda d: struct.pack_into("<I", d, 40, 3000),
    "too many pages": lambda d: struct.pack_into("<Q", d, newest(d) + 136, FAR),
    "page of another number": lambda d: struct.pack_into("<Q", d, root(d), 7),
    "page of another kind": lambda d: struct.pack_into("<H", d, root(d) + 10, 1),
    "pointers beyond the page": lambda d: struct.pack_into("<H", d, root(d) + 12, 65534),
    "no entry": lambda d: struct.pack_into("<H", d, root(d) + 12, 16),
    "entry outside": lambda d: struct.pack_into("<H", d, root(d) + 16, 4095),
    "long key": lambda d: struct.pack_into("<H", d, first_node(d) + 6, 60000),
    "endless value": lambda d: struct.pack_into("<H", d, first_node(d) + 2, 65535),
    "value outside": lambda d: struct.pack_into("<Q", d, value(d), FAR),
    "value in the tree": lambda d: struct.pack_into("<Q", d, value(d), root(d) // PAGE),
    "many values": lambda d: struct.pack_into("<H", d, first_node(d) + 4, 6),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_pages_are_refused(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "s")
    data = bytearray(file.read_bytes())
    CRAFTED[name](data)
    file.write_bytes(data)
    with pytest.raises(EgolibError, match=r"data\.mdb"):
        open_store(tmp_path / "s")


def test_a_circle_of_pages_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "s", 2000, 2)
    check_lmdb(file)
    data = bytearray(file.read_bytes())
    assert struct.unpack_from("<H", data, root(data) + 10)[0] == 1  # a page of branches
    low = root(data) // PAGE
    struct.pack_into("<HHH", data, first_node(data), low & 0xFFFF, low >> 16, 0)
    file.write_bytes(data)
    with pytest.raises(EgolibError, match="twice"):
        open_store(tmp_path / "s")


@pytest.mark.parametrize(("entries", "width"), [(1, 1), (6, 300), (2000, 2), (40, 3000)])
def test_good_databases_pass(tmp_path: Path, entries: int, width: int) -> None:
    write(tmp_path / "s", entries, width)
    store = open_store(tmp_path / "s")
    assert len(store.uids()) == entries and store.get("u0").shape == (5, width)
