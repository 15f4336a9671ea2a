"""Feature stores of other people: LMDB, folders of ``.pt``/``.npy``/``.npz``/``.safetensors``
files, and single archives. They state no provenance, so the caller assumes one.

Every back end reads raw arrays by uid; ``ForeignStore`` turns them into (n, width) float32.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.feature_arrays import as_rows
from egolib.io.lmdb_pages import check_lmdb
from egolib.io.provenance import Provenance
from egolib.io.records import atomic_path

SUFFIXES = (".safetensors", ".npy", ".npz", ".pt", ".pth")
LMDB_SUFFIXES = (".mdb", ".lmdb")


class Backend(Protocol):
    """Arrays by uid, in any form that ``as_rows`` takes."""

    path: Path

    def keys(self) -> list[str]: ...

    def get(self, uid: str) -> Any: ...


class ForeignStore:
    """A store over a back end: arrays (n, width) float32 by uid.

    Args:
        backend: what reads the files.
        assume: what the caller knows about the arrays; width 0 means that of the
            first array that can be read. None leaves everything but the width unknown.

    Raises:
        EgolibError: the store is empty, or none of its arrays can be read.
    """

    def __init__(self, backend: Backend, assume: Provenance | None = None):
        self.backend, self.path = backend, backend.path
        known = assume or Provenance(kind="unknown", width=0)
        if not self._known:
            raise EgolibError("the feature store is empty", file=self.path)
        self.provenance = replace(known, width=known.width or self._width())

    def uids(self) -> list[str]:
        """All uids, sorted."""
        return sorted(self._known)

    def __contains__(self, uid: object) -> bool:
        return uid in self._known

    def __len__(self) -> int:
        return len(self._known)

    def get(self, uid: str) -> np.ndarray:
        """The array (n, width) float32 of one uid.

        Raises:
            EgolibError: unknown uid, damaged entry, or another width.
        """
        if uid not in self._known:
            raise EgolibError(
                "no features for this uid",
                file=self.path,
                record=uid,
                remedy=nearest(uid, self._known),
            )
        array = self._read(uid)
        if array.shape[1] != self.provenance.width:
            raise EgolibError(
                f"array of shape {array.shape} in a store of width {self.provenance.width}",
                file=self.path,
                record=uid,
            )
        return array

    def length(self, uid: str) -> int:
        """Number of rows of one uid."""
        return len(self.get(uid))

    @cached_property
    def _known(self) -> set[str]:
        return set(self.backend.keys())

    def _width(self) -> int:
        """Columns of the first array that can be read; a broken one costs itself alone."""
        errors = []
        for uid in sorted(self._known):
            try:
                return int(self._read(uid).shape[1])
            except EgolibError as error:
                errors.append(error)
        raise errors[0]

    def _read(self, uid: str) -> np.ndarray:
        try:
            array = as_rows(self.backend.get(uid))
        except EgolibError as error:
            raise EgolibError(
                error.what, file=error.file or self.path, record=uid, remedy=error.remedy
            ) from error
        except Exception as error:
            raise EgolibError(
                f"damaged entry: {error}", file=self.path, record=uid, remedy="copy it again"
            ) from error
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(1))[0])
            raise EgolibError(f"NaN or infinity in row {row}", file=self.path, record=uid)
        return array


def open_foreign(path: str | Path, assume: Provenance | None = None) -> ForeignStore:
    """Opens a foreign store by what is found at ``path``.

    Args:
        path: an LMDB, a folder of files, or an archive.
        assume: see ``ForeignStore``.

    Raises:
        EgolibError: nothing there that can be read as a feature store.
    """
    path = Path(path)
    if (path / "data.mdb").is_file() or path.suffix in LMDB_SUFFIXES:
        return ForeignStore(LmdbBackend(path), assume)
    if path.is_file() and path.suffix in SUFFIXES:
        return ForeignStore(ArchiveBackend(path), assume)
    if path.is_dir() and any(_is_features(file) for file in path.iterdir()):
        return ForeignStore(FolderBackend(path), assume)
    raise EgolibError(
        "no feature store that can be read",
        file=path,
        remedy="an LMDB folder (data.mdb), or a folder or archive: " + ", ".join(SUFFIXES),
    )


# ------------------------------------------------------------------------- back ends


class LmdbBackend:
    """LMDB: key = uid in UTF-8, value = an npz or npy file; bookkeeping entries are passed over."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @cached_property
    def _environment(self) -> Any:
        key = str(self.path.resolve())
        environment = _ENVIRONMENTS.get(key)
        if environment is None:
            _ENVIRONMENTS[key] = environment = _open_lmdb(self.path)
        return environment

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}  # an open environment does not travel

    def keys(self) -> list[str]:
        with self._environment.begin() as transaction:
            keys = list(transaction.cursor().iternext(values=False))
            return [self._uid(k) for k in keys if not _is_bookkeeping(k, transaction.get)]

    def get(self, uid: str) -> Any:
        with self._environment.begin() as transaction:
            value = transaction.get(uid.encode())
        return _read_numpy(value)

    def _uid(self, key: bytes) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError as error:
            raise EgolibError("a key is no UTF-8 text", file=self.path, record=key) from error


#: Keys under which data-set tools keep their own facts.
_BOOKKEEPING = {b"keys", b"length", b"len", b"size", b"num_samples", b"meta", b"metadata"}
_ARRAY_STARTS = (b"PK", b"\x93NUMPY")


def _is_bookkeeping(key: bytes, get: Callable[[bytes], bytes]) -> bool:
    """Whether an entry is no features but a fact about the database."""
    suspicious = key.startswith(b"_") or key.lower() in _BOOKKEEPING
    return suspicious and not get(key).startswith(_ARRAY_STARTS)


# A process may open a database only once; stores over the same one share it.
_ENVIRONMENTS: WeakValueDictionary[str, Any] = WeakValueDictionary()


def _open_lmdb(path: Path) -> Any:
    import lmdb

    check_lmdb(path / "data.mdb" if path.is_dir() else path)
    try:
        return lmdb.open(
            str(path),
            subdir=path.is_dir(),
            readonly=True,
            lock=False,
            readahead=False,
            max_readers=1024,
        )
    except lmdb.Error as error:
        raise EgolibError(f"not a readable LMDB: {error}", file=path) from error


class FolderBackend:
    """One file per uid; the suffix says how it is read."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @cached_property
    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for file in sorted(self.path.iterdir()):
            if not _is_features(file):
                continue
            other = found.setdefault(file.stem, file)
            if other != file:
                raise EgolibError(
                    f"two files of one name, {other.name} and {file.name}",
                    file=self.path,
                    record=file.stem,
                    remedy="keep the one that is meant",
                )
        return found

    def keys(self) -> list[str]:
        return list(self._files)

    def get(self, uid: str) -> Any:
        file = self._files[uid]
        if file.suffix in (".npy", ".npz"):
            return _read_numpy(file.read_bytes())
        return _read_tensors(file)


_UNFINISHED = (".tmp", ".temp", ".part", ".partial")


def _is_features(file: Path) -> bool:
    """Whether a file of a folder holds features: no hidden and no half-written one."""
    hidden = file.name.startswith((".", "~")) or file.stem.endswith(_UNFINISHED)
    return file.suffix in SUFFIXES and not hidden and file.is_file()


class ArchiveBackend:
    """One npz, safetensors or ``.pt`` file that holds all arrays by uid."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @cached_property
    def _arrays(self) -> Mapping[str, Any]:
        try:
            content = np.load(self.path) if self.path.suffix == ".npz" else _read_tensors(self.path)
        except EgolibError:
            raise
        except Exception as error:
            raise EgolibError(f"not a readable archive: {error}", file=self.path) from error
        if not isinstance(content, Mapping):
            raise EgolibError("the archive holds no arrays by name", file=self.path)
        return content

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def keys(self) -> list[str]:
        return list(self._arrays)

    def get(self, uid: str) -> Any:
        return self._arrays[uid]


def _read_numpy(data: bytes) -> Any:
    """What an npy or npz file holds: an array, or arrays by name."""
    with io.BytesIO(data) as stream:
        content = np.load(stream)
        if isinstance(content, np.ndarray):
            return content
        return {name: content[name] for name in content.files}


def _read_tensors(file: Path) -> Any:
    """A safetensors file by name, or what a ``.pt`` file holds, without executing it."""
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    from egolib.io.torch_files import read_torch

    return read_torch(file, strict=True)


def _read_safetensors(file: Path) -> Any:
    """Arrays by name; NumPy has no bfloat16, torch has."""
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (TypeError, KeyError):
        from safetensors.torch import load_file as load_tensors

        return load_tensors(file)


# --------------------------------------------------------------------------- writing


def write_lmdb(
    path: str | Path,
    arrays: Iterable[tuple[str, np.ndarray]],
    *,
    name: str = "features",
    map_size: int = 1 << 40,
) -> Path:
    """Writes an LMDB folder in the official layout; returns it.

    Args:
        path: the folder to make.
        arrays: (uid, array) pairs; arrays are stored as float32.
        name: of the array in each value, ``features`` or ``token_features``.
        map_size: largest size of the database in bytes; the file grows only as needed.
    """
    import lmdb

    Path(path).mkdir(parents=True, exist_ok=True)
    with (
        lmdb.open(str(path), map_size=map_size) as environment,
        environment.begin(write=True) as transaction,
    ):
        for uid, array in arrays:
            value = io.BytesIO()
            contents: dict[str, Any] = {name: np.asarray(array, np.float32)}
            np.savez_compressed(value, **contents)
            transaction.put(uid.encode(), value.getvalue())
    return Path(path)


def write_archive(path: str | Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Writes all arrays into one compressed npz, atomically; returns its path."""
    contents: dict[str, Any] = {uid: np.asarray(a, np.float32) for uid, a in arrays.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **contents)
    return Path(path)
