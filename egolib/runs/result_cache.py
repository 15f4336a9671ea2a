"""Results of finished items on disk, so that a stopped step resumes and settings never mix.

What results rest on (weights, the settings that matter, the code) is the cache's key; results
of another key lie in another folder. All tasks keep detections, tracks, predictions, scores
and features so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zipfile import BadZipFile

import numpy as np

from egolib.config import tree_hash
from egolib.errors import EgolibError
from egolib.io.records import atomic_path, read_json, write_json
from egolib.report.results import plain
from egolib.runs.stamps import code_hash


def cache_key(task: str, *, weights: Iterable[str] = (), **settings: Any) -> dict[str, Any]:
    """What kept results rest on, as plain values.

    Args:
        task: whose code computes them; its package and the shared code enter.
        weights: SHA-256 of the files of weights.
        settings: everything else that changes the results, as plain values or dataclass trees.
    """
    return {"weights": list(weights), "code": code_hash(task), **plain(settings)}


_READING = (OSError, ValueError, EOFError, KeyError, SyntaxError, RuntimeError)
DAMAGED = (*_READING, BadZipFile, zlib.error, struct.error)
"""What NumPy and zipfile raise on a damaged archive."""


class ResultCache:
    """A folder of results, one file an item.

    Args:
        folder: where caches of this kind lie; the results are in ``<folder>/<key's hash>``.
        key: what the results rest on (``cache_key``).
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder / tree_hash(key)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "key.json", dict(key), indent=1)

    def path(self, item: str, suffix: str = ".npz") -> Path:
        """The file of an item, whatever characters its name holds."""
        return self.folder / f"{quote(item, safe='')}{suffix}"

    def get(self, item: str) -> dict[str, np.ndarray] | None:
        """The arrays kept for an item; None where there are none, or the file is damaged."""
        try:
            with np.load(self.path(item), allow_pickle=False) as file:
                return dict(file)
        except DAMAGED:
            return None

    def put(self, item: str, **arrays: np.ndarray) -> Path:
        """Keeps an item's arrays; the file appears whole or not at all."""
        path = self.path(item)
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return path

    def get_json(self, item: str) -> Any:
        """The JSON value kept for an item; None where there is none, or the file is damaged."""
        path = self.path(item, ".json")
        try:
            kept = read_json(path, dict) if path.is_file() else {}
        except EgolibError:
            return None
        value = kept.get("result")
        return value if kept.get("sha256") == _sha256(value) else None

    def put_json(self, item: str, value: Any) -> Path:
        """Keeps an item's JSON value; the file appears whole or not at all."""
        value = plain(value)
        return write_json(self.path(item, ".json"), {"result": value, "sha256": _sha256(value)})

    def remove_others(self) -> None:
        """Removes what other keys left beside this cache."""
        for other in self.folder.parent.iterdir():
            if other != self.folder and (other / "key.json").is_file():
                shutil.rmtree(other)


def _sha256(value: Any) -> str:
    """Tells a value that a disk changed; an ``npz`` file holds such sums itself."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
