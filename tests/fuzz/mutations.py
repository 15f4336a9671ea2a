"""One random change of a file, with its name: of a value, or of the bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.fuzz.forms import COLUMNS, CSV, TSV, Form
from tests.fuzz.samples import UIDS

Place = tuple[Any, ...]
TABLES = (CSV, TSV, COLUMNS)


def mutate(form: Form, data: bytes, rng: random.Random) -> tuple[bytes, str, str]:
    """Other bytes, the kind of the change, and its place without numbers."""
    for _ in range(20):
        if form.decode and form.encode and rng.random() < 0.7:
            try:
                value, kind, where = _change_value(form.decode(data), rng, form in TABLES)
                changed = form.encode(value)
            except Exception:
                continue  # the format holds no such value
        else:
            kind = rng.choice(list(TEXT_CHANGES if form.text else BYTE_CHANGES))
            changed, where = {**TEXT_CHANGES, **BYTE_CHANGES}[kind](data, rng), ""
        if changed != data:
            return changed, kind, where
    return data[:-1], "cut", ""


# ---------------------------------------------------------------------------- values


def places(value: Any, here: Place = ()) -> list[Place]:
    """Every place of a tree of dictionaries and lists."""
    found = [here]
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    for key, part in inside:
        found += places(part, (*here, key))
    return found


def _part(key: Any, number: int, columns: bool) -> str:
    """A place's part without what differs between records: ``[]``, or ``{}`` for a uid."""
    if isinstance(key, int):
        return f"column {key}" if columns and number == 1 else "[]"
    return "{}" if str(key).isdigit() or key in UIDS else str(key)


def _change_value(tree: Any, rng: random.Random, columns: bool) -> tuple[Any, str, str]:
    tree = copy.deepcopy(tree)
    place = rng.choice(places(tree))
    old = tree
    for key in place:
        old = old[key]
    shape = isinstance(old, np.ndarray | torch.Tensor)
    kind = rng.choice(list(ARRAY_CHANGES if shape else VALUE_CHANGES))
    where = ".".join(_part(key, number, columns) for number, key in enumerate(place))
    if shape:
        return _put(tree, place, ARRAY_CHANGES[kind](old, rng)), kind, where
    if kind in ("drop", "twice", "renamed") and place:
        return _change_parent(tree, place, kind, rng), kind, where
    if kind == "swapped" and isinstance(old, list) and len(old) > 1:
        rng.shuffle(old)
        return tree, kind, where
    if kind in ("drop", "twice", "renamed", "swapped"):
        kind = "null"
    return _put(tree, place, VALUE_CHANGES[kind](old, rng)), kind, where


def _put(tree: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    inner = _put(tree[place[0]], place[1:], value)
    if isinstance(tree, tuple):
        return (*tree[: place[0]], inner, *tree[place[0] + 1 :])
    tree[place[0]] = inner
    return tree


def _change_parent(tree: Any, place: Place, kind: str, rng: random.Random) -> Any:
    parent = tree
    for key in place[:-1]:
        parent = parent[key]
    key = place[-1]
    if isinstance(parent, dict):
        value = parent.pop(key)
        if kind != "drop":
            parent[f"{key}_{rng.randrange(10)}"] = value
        if kind == "twice":
            parent[key] = value
    elif kind == "drop":
        del parent[key]
    else:
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(parent[key]))
    return tree


def _nested(value: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice([1, 2, 50])):
        value = [value]
    return value


def _number(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return rng.choice([0, 1, 12, 3.5])
    return value + rng.choice([1, 0.5, 7])


VALUE_CHANGES: dict[str, Callable[[Any, random.Random], Any]] = {
    "null": lambda v, r: None,
    "text": lambda v, r: r.choice(["x", "12", "a/b", "../x", "“é”", "\u202e"]),
    "control": lambda v, r: r.choice(["a\nb", "\0", 'a"b', "a,b", "\ud800"]),
    "empty": lambda v, r: r.choice(["", " "]),
    "number": _number,
    "negative": lambda v, r: r.choice([-1, -0.5, -1e9]),
    "huge": lambda v, r: r.choice([1e308, 2**63, 2**31, 10**30, 10**400]),
    "nan": lambda v, r: r.choice([float("nan"), float("inf"), -float("inf")]),
    "zero": lambda v, r: 0,
    "boolean": lambda v, r: r.random() < 0.5,
    "list": lambda v, r: r.choice([[], [1], ["a", "b"], [None]]),
    "object": lambda v, r: r.choice([{}, {"a": 1}]),
    "nested": _nested,
    "drop": lambda v, r: None,
    "twice": lambda v, r: None,
    "renamed": lambda v, r: None,
    "swapped": lambda v, r: None,
}


def _one(array: Any, value: float, rng: random.Random) -> Any:
    changed = array.clone() if isinstance(array, torch.Tensor) else array.copy()
    flat = changed.reshape(-1)
    flat[rng.randrange(len(flat))] = value
    return changed


ARRAY_CHANGES: dict[str, Callable[[Any, random.Random], Any]] = {
    "array nan": lambda a, r: _one(a, r.choice([float("nan"), float("inf")]), r),
    "array negative": lambda a, r: _one(a, -7, r),
    "array huge": lambda a, r: _one(a, 1e30, r),
    "array value": lambda a, r: _one(a, 0, r),
    "array empty": lambda a, r: a[:0],
    "array shorter": lambda a, r: a[:-1],
    "array flat": lambda a, r: a.reshape(-1),
    "array deeper": lambda a, r: a[None],
    "array turned": lambda a, r: a.T,
    "array integers": lambda a, r: a.astype(np.int64) if isinstance(a, np.ndarray) else a.long(),
    "array text": lambda a, r: np.array(["a", "b"]),
    "array scalar": lambda a, r: a.reshape(-1)[0],
    "array half": lambda a, r: a.astype(np.float16) if isinstance(a, np.ndarray) else a.half(),
    "array complex": lambda a, r: a + 1j,
    "array objects": lambda a, r: np.array([{"a": 1}, None], dtype=object),
    "array gone": lambda a, r: None,
}


# ----------------------------------------------------------------------------- bytes


def _at(data: bytes, rng: random.Random) -> int:
    return rng.randrange(max(len(data), 1))


def _flip(data: bytes, rng: random.Random) -> bytes:
    place = _at(data, rng)
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = _at(data, rng)
    return data[:place] + rng.randbytes(rng.choice([1, 4, 100])) + data[place:]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    place, count = _at(data, rng), rng.choice([1, 8, 64])
    return data[:place] + bytes(min(count, len(data) - place)) + data[place + count :]


def _ones(data: bytes, rng: random.Random) -> bytes:
    place, count = _at(data, rng), rng.choice([1, 4, 8])
    return data[:place] + b"\xff" * min(count, len(data) - place) + data[place + count :]


def _hole(data: bytes, rng: random.Random) -> bytes:
    place = _at(data, rng)
    return data[:place] + data[place + rng.choice([1, 8, 100]) :]


def _again(data: bytes, rng: random.Random) -> bytes:
    place = _at(data, rng)
    return data[:place] + data[place : place + rng.choice([4, 64])] + data[place:]


BYTE_CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda d, r: d[: _at(d, r)],
    "nothing": lambda d, r: b"",
    "flip": _flip,
    "inserted": _insert,
    "zeros": _zeros,
    "ones": _ones,
    "hole": _hole,
    "again": _again,
    "other format": lambda d, r: r.choice(
        [b"<html>404</html>", b"PK\x03\x04", b"\x80\x04N.", b"version https://git-lfs.github.com"]
    ),
}


def _character(data: bytes, rng: random.Random) -> bytes:
    place = _at(data, rng)
    return data[:place] + rng.choice("\"',;\t{}[]:0a \\<&-\n").encode() + data[place + 1 :]


def _line(data: bytes, rng: random.Random, times: int) -> bytes:
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    return b"\n".join([*lines[:place], *[lines[place]] * times, *lines[place + 1 :]])


TEXT_CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    **{k: v for k, v in BYTE_CHANGES.items() if k not in ("ones", "zeros", "again")},
    "character": _character,
    "byte order mark": lambda d, r: b"\xef\xbb\xbf" + d,
    "windows lines": lambda d, r: d.replace(b"\n", b"\r\n"),
    "utf-16": lambda d, r: d.decode("utf-8", "replace").encode("utf-16"),
    "line gone": lambda d, r: _line(d, r, 0),
    "line twice": lambda d, r: _line(d, r, 2),
    "blank line": lambda d, r: d.replace(b"\n", b"\n\n", 1) if b"\n" in d else b"\n" + d,
}
