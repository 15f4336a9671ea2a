"""Files that try to run, write, crash or fill the memory when they are read."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

CANARY = "canary"  # what an attack that succeeds writes, relative to the working folder
Writer = Callable[[Path], None]


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


# ------------------------------------------------------------------------ raw pickles


def text(value: str) -> bytes:
    """Opcodes that push a string."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    """Opcodes that push what an import gives."""
    return text(module) + text(attribute) + b"\x93"


def build(target: bytes, state: bytes) -> bytes:
    """A pickle that gives ``state`` to ``target``."""
    return b"\x80\x04" + target + state + b"b."


def attributes(key: str, value: bytes) -> bytes:
    """A state whose second half is set attribute by attribute."""
    return b"N}" + text(key) + value + b"s\x86"


def global_of(function: Any) -> bytes:
    return name(function.__module__, function.__qualname__)


ARRAY_STATE = (1, (1,), np.dtype("O"), False, b"\x41" * 8)  # a pointer to nowhere


def forged_dtype() -> bytes:
    """A type of plain bytes whose fields are objects."""
    call = name("numpy", "dtype") + text("V8") + b"\x89\x88\x87R"
    fields = b"}" + text("a") + name("numpy", "dtype") + text("O8") + b"\x89\x88\x87RK\x00\x86s"
    state = b"(K\x03" + text("|") + b"N" + text("a") + b"\x85" + fields + b"K\x08K\x01K\x00t"
    return b"\x80\x04" + call + state + b"b."


def pickles() -> dict[str, bytes]:
    """Whole pickles."""
    touch = f"echo x > {CANARY}"
    code = f"open({CANARY!r}, 'w').write('x')"
    raw: dict[str, bytes] = {
        "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        "long": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b".",
        "digits": b"I" + b"9" * 1_000_000 + b"\n.",
        "deep lists": b"\x80\x02" + b"]" * 500_000 + b"a" * 499_999 + b".",
        "deep key": b"\x80\x02})" + b"\x85" * 2_000_000 + b"Ns.",
        "deep set": b"\x80\x04\x8f()" + b"\x85" * 2_000_000 + b"\x90.",
        "extension": b"\x80\x02\x82\x01.",
        "forged dtype": forged_dtype(),
        "on a class": build(name("collections", "OrderedDict"), attributes("x", b"N")),
        "on a function": build(name("_codecs", "encode"), attributes("__doc__", b"N")),
        "on torch": build(name("torch.nn.parameter", "Parameter"), attributes("x", b"N")),
        "on a stand-in": build(name("some", "Thing"), attributes("__reduce__", b"N")),
        "array memory": pickle.dumps(
            Calls(np.ndarray, (1,), np.dtype("O"), b"\x41" * 8), protocol=2
        ),
        "array shape": pickle.dumps(
            Calls(np.ndarray, (1 << 40,), np.dtype("f8"), b"\x41" * 8), protocol=2
        ),
        "huge bytearray": pickle.dumps(Calls(bytearray, 1 << 40), protocol=2),
        "huge bytes": pickle.dumps(Calls(bytes, 1 << 40), protocol=2),
    }
    calls = {
        "system": (os.system, touch),
        "eval": (eval, code),
        "exec": (exec, code),
        "open": (open, CANARY, "w"),
        "mkdir": (os.mkdir, CANARY),
        "getattr": (getattr, "text", "format"),
        "frombuffer": (np.frombuffer, b"\x41" * 8, "O"),
        "save": (np.save, CANARY, 1),
        "memmap": (np.memmap, CANARY, "uint8", "w+", 0, (4,)),
        "torch load": (torch.load, CANARY),
        "torch save": (torch.save, 1, CANARY),
        "storage": (torch.UntypedStorage.from_file, CANARY, True, 16),
    }
    for title, call in calls.items():
        for protocol in (0, 2, 4):
            raw[f"{title} {protocol}"] = pickle.dumps({"x": Calls(*call)}, protocol=protocol)
    reconstruct = np.array([1.0]).__reduce__()[0]
    for state in (ARRAY_STATE, (1, (1 << 40,), np.dtype("f8"), False, b"x" * 8), (1, (1,))):
        pushed = global_of(reconstruct) + name("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
        inner = pickle.dumps(state, protocol=4)[2:-1]
        raw[f"array state {len(raw)}"] = b"\x80\x04" + pushed + inner + b"b."
    return raw


# ----------------------------------------------------------------------------- files


def write_script(path: Path) -> None:
    """A TorchScript archive whose loading writes a file."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = torch.zeros(1)

        @torch.jit.export
        def __getstate__(self):  # type: ignore[no-untyped-def]
            return self.x, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            self.x = torch.from_file("canary", True, 16)
            self.training = state[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.script(Module()).save(str(path))


def write_archive(path: Path, pickled: bytes, storage: bytes = b"") -> None:
    """An archive of torch around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/data/0", storage)


def tensor_pickle(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of one tensor over storage 0 of four numbers."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 4) if value == "here" else None

    stream = io.BytesIO()
    rebuild = Calls(torch._utils._rebuild_tensor_v2, "here", offset, size, stride, False, {})
    Pickler(stream, protocol=2).dump({"state_dict": {"w": rebuild}})
    return stream.getvalue()


def archives() -> dict[str, Writer]:
    """Files of torch."""
    shapes = {
        "beyond": (2, (4,), (1,)),
        "far": (1 << 62, (1,), (1,)),
        "expanded": (0, (1 << 20, 1 << 20), (0, 0)),
        "negative": (0, (4,), (-1,)),
    }
    found: dict[str, Writer] = {"script": write_script}
    for title, shape in shapes.items():
        data = tensor_pickle(*shape)
        found[f"tensor {title}"] = lambda path, data=data: write_archive(path, data, bytes(16))
    for title, data in pickles().items():
        found[f"archived {title}"] = lambda path, data=data: write_archive(path, data)
    return found


def write_lmdb(path: Path, keep: float) -> None:
    """A truncated database."""
    from egolib.io.foreign_features import write_lmdb as write

    rng = np.random.default_rng(0)
    write(path, ((f"v{i}", rng.random((200, 64))) for i in range(20)))
    file = path / "data.mdb"
    os.truncate(file, int(file.stat().st_size * keep))


def stores() -> dict[str, Writer]:
    """Stores of features: npy, npz, LMDB."""

    def write_objects(path: Path) -> None:
        path.mkdir()
        hostile = np.array([Calls(os.system, f"echo x > {CANARY}")], dtype=object)
        np.save(path / "v.npy", hostile, allow_pickle=True)

    def write_object_archive(path: Path) -> None:
        hostile = np.array([Calls(os.system, f"echo x > {CANARY}")], dtype=object)
        np.savez(path.with_suffix(".npz"), v=hostile)

    def write_header(path: Path) -> None:
        path.mkdir()
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 4), }"
        header = header.ljust(117) + b"\n"
        (path / "v.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header)

    found: dict[str, Writer] = {
        "objects": write_objects,
        "object archive": write_object_archive,
        "npy header": write_header,
        "lmdb half": lambda path: write_lmdb(path, 0.5),
        "lmdb begin": lambda path: write_lmdb(path, 0.02),
        "lmdb little": lambda path: write_lmdb(path, 0.95),
    }
    return found
