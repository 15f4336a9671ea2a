"""The feature store: arrays by uid, with the provenance that says what they are.

An egolib store is a folder with ``store.json`` (format, layout, provenance) and

- layout ``files``: one ``<uid>.safetensors`` per video, written as it is computed, or
- layout ``packed``: all arrays in one ``features.safetensors`` (short texts).

Each tensor file repeats the provenance in its header, so that a file that was
copied from another store is noticed. Stores of other people (LMDB, folders of
``.pt`` or ``.npy`` files, single archives) are read through
``egolib.io.foreign_features``; they carry no provenance, so the caller states it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from annotated_types import Gt
from pydantic import ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from typing_extensions import TypedDict

from egolib.errors import EgolibError, nearest
from egolib.io.foreign_features import open_foreign
from egolib.io.names import file_name
from egolib.io.provenance import Provenance as Provenance
from egolib.io.provenance import Store as Store
from egolib.io.records import atomic_path, read_json, write_json
from egolib.io.schema import OPEN, Finite, Positive, Text, validated

FORMAT = "egolib-features"
PACKED = "features.safetensors"


# ----------------------------------------------------------------------- reading


class FeatureStore:
    """A store in our format, opened for reading.

    Raises:
        EgolibError: no store there, or one of a format that we do not know.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        about = read_json(self.path / "store.json", dict)
        if about.get("format") != FORMAT:
            raise EgolibError(f"not an {FORMAT} store", file=self.path / "store.json")
        self.layout, self.provenance = _layout(about, self.path / "store.json")

    def uids(self) -> list[str]:
        """All uids, sorted."""
        return sorted(self._known)

    def __contains__(self, uid: object) -> bool:
        return uid in self._known

    def __len__(self) -> int:
        return len(self._known)

    def get(self, uid: str) -> np.ndarray:
        """The array (n, width) float32 of one uid."""
        file, key = self._locate(uid)
        try:
            array: np.ndarray = self._open(file).get_tensor(key).astype(np.float32, copy=False)
        except SafetensorError as error:
            raise EgolibError(f"damaged: {error}", file=file, record=uid) from error
        if array.ndim != 2 or array.shape[1] != self.provenance.width or not len(array):
            raise EgolibError(
                f"array of shape {array.shape} in a store of width {self.provenance.width}",
                file=file,
                record=uid,
            )
        result: np.ndarray = array
        return result

    def length(self, uid: str) -> int:
        """Number of rows, read from the file's header alone."""
        file, key = self._locate(uid)
        try:
            return int(self._open(file).get_slice(key).get_shape()[0])
        except SafetensorError as error:
            raise EgolibError(f"damaged: {error}", file=file, record=uid) from error

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_packed"}  # an open file

    @cached_property
    def _known(self) -> set[str]:
        if self.layout == "packed":
            return set(self._open(self.path / PACKED).keys())
        files = self.path.glob("*.safetensors")
        return {file.stem for file in files if not file.name.startswith(".")}

    @cached_property
    def _packed(self) -> Any:
        return _open_tensors(self.path / PACKED, self.provenance)

    def _open(self, file: Path) -> Any:
        return self._packed if self.layout == "packed" else _open_tensors(file, self.provenance)

    def _locate(self, uid: str) -> tuple[Path, str]:
        if uid not in self._known:
            raise EgolibError(
                "no features for this uid",
                file=self.path,
                record=uid,
                remedy=nearest(uid, self._known),
            )
        if self.layout == "packed":
            return self.path / PACKED, uid
        return self.path / f"{uid}.safetensors", "features"


Above0 = Annotated[Finite, Gt(0)]


class _Stated(TypedDict):
    """The provenance of a store's arrays, see ``Provenance``."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]
    kind: Text
    width: Positive
    fps: NotRequired[Above0 | None]
    stride_frames: NotRequired[Above0 | None]
    window_frames: NotRequired[Above0 | None]
    model: NotRequired[str]
    model_hash: NotRequired[str]


class _Sidecar(TypedDict):
    """``store.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    layout: Literal["files", "packed"]
    provenance: _Stated


def _layout(about: Mapping[str, Any], file: Path) -> tuple[str, Provenance]:
    """What a sidecar says, each value of the kind that it must have."""
    found = validated(_Sidecar, about, file=file)
    return found["layout"], Provenance(**found["provenance"])


class ConcatenatedStore:
    """Several stores side by side: columns are concatenated, rows cut to the shortest.

    Args:
        stores: stores over the same uids with equal strides.
        slack_rows: largest accepted difference in length between the stores.
    """

    def __init__(self, stores: Sequence[Store], slack_rows: int = 2):
        self.stores, self.slack_rows = list(stores), slack_rows
        first = self.stores[0].provenance
        for store in self.stores[1:]:
            if store.provenance.stride_frames != first.stride_frames:
                raise EgolibError(
                    f"stores of strides {first.stride_frames} and "
                    f"{store.provenance.stride_frames} cannot be put side by side"
                )
        self.provenance = replace(
            first,
            width=sum(s.provenance.width for s in self.stores),
            model="+".join(s.provenance.model for s in self.stores),
            model_hash="+".join(s.provenance.model_hash for s in self.stores),
        )

    def uids(self) -> list[str]:
        """Uids that every store has."""
        return sorted(set.intersection(*(set(s.uids()) for s in self.stores)))

    def __contains__(self, uid: object) -> bool:
        return all(uid in store for store in self.stores)

    def length(self, uid: str) -> int:
        """Number of rows of the shortest member."""
        return min(store.length(uid) for store in self.stores)

    def get(self, uid: str) -> np.ndarray:
        """The array (n, sum of widths) float32 of one uid."""
        arrays = [store.get(uid) for store in self.stores]
        lengths = [len(a) for a in arrays]
        if max(lengths) - min(lengths) > self.slack_rows:
            raise EgolibError(f"the stores have {lengths} rows for this uid", record=uid)
        return np.concatenate([a[: min(lengths)] for a in arrays], axis=1)


def open_store(path: str | Path | Sequence[str | Path], assume: Provenance | None = None) -> Store:
    """Opens an egolib store or a foreign one; a list of paths is put side by side.

    Args:
        path: a folder with ``store.json``, an LMDB folder, a folder of ``.pt``,
            ``.npy``, ``.npz`` or ``.safetensors`` files, or one such archive.
        assume: the provenance of a foreign store (which states none); its width 0
            means the width of the first array.
    """
    if not isinstance(path, str | Path):
        stores = [open_store(p, assume) for p in path]
        return stores[0] if len(stores) == 1 else ConcatenatedStore(stores)
    if (Path(path) / "store.json").is_file():
        return FeatureStore(path)
    if not Path(path).exists():
        raise EgolibError("the feature store does not exist", file=path)
    return open_foreign(path, assume)


def require_provenance(store: Store, **expected: Any) -> Store:
    """Checks fields of a store's provenance, for instance ``width=2304, stride_frames=16.043``.

    Returns the store.

    Raises:
        EgolibError: a field differs; the message holds both values.
    """
    for name, value in expected.items():
        found = getattr(store.provenance, name)
        same = np.isclose(found, value) if isinstance(value, float) and found else found == value
        if value is not None and not same:
            raise EgolibError(
                f"the feature store has {name} {found}, the configuration expects {value}",
                file=getattr(store, "path", None),
                remedy=f"use features made for this configuration, or set {name} to {found}",
            )
    return store


# ----------------------------------------------------------------------- writing


class FeatureWriter:
    """Writes a store of layout ``files``, one video at a time; finished videos are kept.

    Raises:
        EgolibError: the folder holds a store with another provenance.
    """

    def __init__(self, path: str | Path, provenance: Provenance):
        self.path, self.provenance = Path(path), provenance
        _begin_store(self.path, provenance, "files")

    def has(self, uid: str) -> bool:
        """True when the uid's file is there, whole and of this store."""
        file = self.path / f"{uid}.safetensors"
        if not file.is_file():
            return False
        try:
            tensors = _open_tensors(file, self.provenance)
            return bool(tensors.get_slice("features").get_shape()[0] > 0)
        except EgolibError:
            return False

    def write(self, uid: str, array: np.ndarray) -> None:
        """Writes the array (n, width) of one uid, atomically. NaN and no rows are refused."""
        file = self.path / f"{file_name(uid, file=self.path)}.safetensors"
        _save(file, {"features": array}, self.provenance, uid)


def write_packed(
    path: str | Path, provenance: Provenance, arrays: Mapping[str, np.ndarray]
) -> Path:
    """Writes a store of layout ``packed`` in one go; returns its folder.

    Args:
        path: folder of the store.
        provenance: what the arrays are.
        arrays: (n, width) by uid.
    """
    _begin_store(Path(path), provenance, "packed")
    _save(Path(path) / PACKED, {uid: arrays[uid] for uid in sorted(arrays)}, provenance, None)
    return Path(path)


def _begin_store(path: Path, provenance: Provenance, layout: str) -> None:
    about: dict[str, Any] = {
        "format": FORMAT,
        "layout": layout,
        "provenance": asdict(provenance),
    }
    file = path / "store.json"
    if not file.is_file():
        write_json(file, about, indent=1)
        return
    old = read_json(file, dict)
    changed = [k for k, v in about["provenance"].items() if old["provenance"].get(k) != v]
    if changed or old["layout"] != layout:
        raise EgolibError(
            f"the folder holds a store with other {', '.join(changed) or 'layout'}",
            file=path,
            remedy="write into another folder, or remove this one",
        )


def _save(
    file: Path, arrays: Mapping[str, np.ndarray], provenance: Provenance, uid: str | None
) -> None:
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape[1] != provenance.width or not len(array):
            raise EgolibError(
                f"array of shape {array.shape} for a store of width {provenance.width}",
                file=file,
                record=uid or name,
            )
        if not np.isfinite(array).all():
            raise EgolibError("the array holds NaN or infinity", file=file, record=uid or name)
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_path(file) as temporary:
        save_file(whole, temporary, metadata={"provenance": json.dumps(asdict(provenance))})


def _open_tensors(file: Path, provenance: Provenance) -> Any:
    try:
        tensors = safe_open(file, framework="numpy")
    except (SafetensorError, OSError) as error:
        raise EgolibError(
            f"damaged feature file: {error}", file=file, remedy="remove it and extract it again"
        ) from error
    inside = (tensors.metadata() or {}).get("provenance")  # type: ignore[no-untyped-call]
    if inside is not None and not _says(inside, asdict(provenance)):
        raise EgolibError(
            "the file's provenance is not its store's", file=file, remedy="extract it again"
        )
    return tensors


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == wanted)
    except ValueError:
        return False
