"""Reading files of ``torch.save`` without ``torch.load``, and so without running anything.

Two layouts: an archive (zip) with one pickle and one entry a storage, and the older stream of
pickles with the storages behind. Only dense tensors, arrays and plain values are built.
TorchScript archives are programs: they are refused before torch sees them.
"""

from __future__ import annotations

import io
import math
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.pickles import Builder, Inert, Token, Unpickler, refuse

MAGIC = 0x1950A86A20F9469CFC6C  # the first value of the older layout
MOST_MODULES = 100  # nested in each other
PROGRAM = ("constants.pkl", "code")  # what a TorchScript archive holds beside data

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
DTYPES = {str(dtype): dtype for dtype in STORAGES.values()}


class StorageType(Token):
    """Stands for one of torch's storage classes."""

    __slots__ = ("dtype",)

    def __init__(self, name: str) -> None:
        super().__init__(f"torch.{name}")
        self.dtype = STORAGES[name]


def read_torch(
    path: str | Path, classes: Mapping[str, type] | None = None, strict: bool = False
) -> Any:
    """What a file of ``torch.save`` holds, or a plain pickle; tensors on the CPU.

    Args:
        path: the file.
        classes: replacements of other classes by full name.
        strict: refuse other classes instead of making them ``egolib.io.pickles.Inert``.

    Raises:
        EgolibError: a program (TorchScript), a damaged or truncated file, a class that is
            refused, or no file at all.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                return _read_archive(stream, classes, strict)
            stream.seek(0)
            if stream.read(2) == b"PK":
                raise refuse("a truncated archive")
            stream.seek(0)
            if tarfile.is_tarfile(stream):
                raise refuse("a tar archive, as torch wrote before 2017")
            stream.seek(0)
            return _read_stream(stream, classes, strict)
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except EgolibError as error:
        raise EgolibError(error.what, file=path, remedy=error.remedy) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise EgolibError(
            f"not readable: {error}",
            file=path,
            remedy="the download may be incomplete: compare its size with the publisher's",
        ) from error


def read_program_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive by their names, read as data: no code is loaded.

    Args:
        path: the archive, for instance CLIP's published weights.

    Returns:
        Tensors on the CPU, named as in the program's ``state_dict``.

    Raises:
        EgolibError: no such file, no TorchScript archive, or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            module = _read_archive(stream, None, False, programs=True)
        found: dict[str, Tensor] = {}
        _collect(module, "", found, 0)
    except FileNotFoundError as error:
        raise EgolibError("the file does not exist", file=path) from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise EgolibError(f"not readable: {error}", file=path) from error
    if not found:
        raise EgolibError("no tensors were found", file=path)
    return found


def is_program(path: str | Path) -> bool:
    """Whether a file is a TorchScript archive, told by the names of its entries."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(_is_program(name) for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _collect(value: Any, name: str, found: dict[str, Tensor], depth: int) -> None:
    """The tensors below a module, which is a stand-in whose state is its attributes."""
    if depth > MOST_MODULES:
        raise refuse("modules nested without end")
    if isinstance(value, Tensor):
        found[name] = value
    state = getattr(value, "state", None) if isinstance(value, Inert) else None
    if isinstance(state, dict):
        for key, part in state.items():
            _collect(part, f"{name}.{key}" if name else str(key), found, depth + 1)


# ------------------------------------------------------------------------- archive


def _read_archive(
    stream: IO[bytes],
    classes: Mapping[str, type] | None,
    strict: bool,
    *,
    programs: bool = False,
) -> Any:
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        if not programs and any(_is_program(name) for name in names):
            raise EgolibError(
                "a TorchScript archive is a program, not weights",
                remedy="save the state dict: torch.save(model.state_dict(), ...)",
            )
        pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise refuse("an archive without one data.pkl")
        top = pickles[0].split("/")[0]
        order = f"{top}/byteorder"
        if order in names and _entry(archive, order) != b"little":
            raise refuse("an archive with the bytes of another kind of machine")
        storages: dict[str, Tensor] = {}

        def persistent(pid: Any) -> _Storage:
            key, dtype, count = _describe(pid)
            if key not in storages:
                storages[key] = _bytes_tensor(_entry(archive, f"{top}/data/{key}"))
            return _Storage(storages[key], dtype, count)

        pickled = io.BytesIO(_entry(archive, pickles[0]))
        return _unpickler(pickled, classes, strict, persistent).load()


def _is_program(name: str) -> bool:
    return name.split("/")[1:2] != [] and name.split("/")[1] in PROGRAM


def _entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """An entry's bytes; torch never compresses, so a compressed one is somebody else's."""
    about = archive.getinfo(name)
    if about.compress_type != zipfile.ZIP_STORED:
        raise refuse("a compressed archive")
    return archive.read(about)


# --------------------------------------------------------------------- older stream


def _read_stream(stream: IO[bytes], classes: Mapping[str, type] | None, strict: bool) -> Any:
    """Magic number, protocol, system, the object, the storages' keys, then the storages.

    Tensors are built before their values are read: the storages are filled in place.
    """
    storages: dict[str, Tensor] = {}
    sizes: dict[str, int] = {}
    available = Path(stream.name).stat().st_size

    def persistent(pid: Any) -> _Storage:
        if isinstance(pid, tuple) and pid[:1] == ("module",) and len(pid) == 4:
            result: _Storage = pid[1]  # a class with its source code, which is not read: a stand-in
            return result
        if not isinstance(pid, tuple) or (len(pid) == 6 and pid[5] is not None):
            raise refuse("a view of a storage, as torch wrote before 2017")
        key, dtype, count = _describe(pid[:5])
        if key not in storages:
            if count * dtype.itemsize > available:
                raise refuse("a storage larger than the file")
            storages[key], sizes[key] = _bytes_tensor(bytes(count * dtype.itemsize)), count
        return _Storage(storages[key], dtype, count)

    first = _unpickler(stream, classes, strict, None).load()
    if first != MAGIC:
        return first  # a plain pickle, for instance of detectron2's model zoo
    for _ in range(2):
        _unpickler(stream, None, False, None).load()
    content = _unpickler(stream, classes, strict, persistent).load()
    for key in _unpickler(stream, None, True, None).load():
        count = int.from_bytes(stream.read(8), "little")
        if key not in storages or count != sizes[key]:
            raise refuse("storages that the pickle does not name")
        data = stream.read(storages[key].numel())
        if len(data) != storages[key].numel():
            raise refuse("a truncated file")
        storages[key].copy_(_bytes_tensor(data))
    return content


# -------------------------------------------------------------------------- tensors


class _Storage:
    """Bytes and the type that they are read as."""

    def __init__(self, data: Tensor, dtype: torch.dtype, count: int) -> None:
        if data.numel() < count * dtype.itemsize:
            raise refuse("a storage shorter than it says")
        self.data, self.dtype, self.count = data, dtype, count

    def values(self) -> Tensor:
        whole = self.data[: self.data.numel() // self.dtype.itemsize * self.dtype.itemsize]
        return whole.view(self.dtype)


def _describe(pid: Any) -> tuple[str, torch.dtype, int]:
    """Key, type and number of values of a storage that a pickle names."""
    kind, storage, key, _device, count = pid
    good = kind == "storage" and isinstance(storage, StorageType) and isinstance(key, str)
    if not good or type(count) is not int or count < 0:
        raise refuse("something else than a storage outside the pickle")
    return key, storage.dtype, count


def _bytes_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0).byte()


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *more: Any) -> Tensor:
    """A tensor over a storage, copied where torch could not know that it lies inside."""
    if not isinstance(storage, _Storage) or len(size) != len(stride):
        raise refuse("a tensor without a storage")
    values = storage.values()
    numbers = [offset, *size, *stride]
    if any(type(n) is not int or n < 0 for n in numbers):
        raise refuse("a tensor of a shape that is none")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and (last >= len(values) or math.prod(size) > len(values)):
        raise refuse("a tensor beyond its storage")
    return torch.as_strided(values, size, stride, offset if math.prod(size) else 0)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise refuse("a parameter without a tensor")
    return data


def _from_type(function: Any, _kind: Any, arguments: Any, _state: Any) -> Tensor:
    if function not in (_tensor, _parameter):
        raise refuse("a tensor made by another function")
    made: Tensor = function(*arguments)
    return made


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values)


def _text(*values: Any) -> str:
    return ":".join(str(value) for value in values)


_FUNCTIONS: dict[str, Builder] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.Size": _size,
    "torch.device": _text,
    "torch.serialization._get_layout": _text,
}
_BUILDERS: dict[str, Any] = {
    **_FUNCTIONS,
    **{
        f"{module}.{name}": StorageType(name)
        for module in ("torch", "torch.cuda", "torch.storage")
        for name in STORAGES
    },
    **{name: Token(name) for name in DTYPES},
    "torch.Tensor": Token("torch.Tensor"),
    "torch.nn.parameter.Parameter": Token("torch.nn.parameter.Parameter"),
}


def _unpickler(
    stream: Any,
    classes: Mapping[str, type] | None,
    strict: bool,
    persistent: Callable[[Any], Any] | None,
) -> Unpickler:
    return Unpickler(
        stream, classes=classes, strict=strict, builders=_BUILDERS, persistent=persistent
    )
