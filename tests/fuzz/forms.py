"""How a file's bytes become values that can be changed one by one, and bytes again."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import yaml


@dataclass(frozen=True)
class Form:
    """A file format; ``decode`` is None where only bytes can be changed.

    Args:
        name: of the format.
        decode: bytes to plain values, arrays or rows of cells.
        encode: the inverse.
        text: whether the bytes are text.
    """

    name: str
    decode: Callable[[bytes], Any] | None = None
    encode: Callable[[Any], bytes] | None = None
    text: bool = False


def _rows(separator: str) -> tuple[Callable[[bytes], Any], Callable[[Any], bytes]]:
    """Lines of cells, split as plainly as the samples are written."""

    def decode(data: bytes) -> Any:
        return [line.split(separator) for line in data.decode().splitlines()]

    def encode(rows: Any) -> bytes:
        lines = [separator.join(map(_cell, row)) if isinstance(row, list) else _cell(row)
                 for row in (rows if isinstance(rows, list) else [rows])]  # fmt: skip
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")

    return decode, encode


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _lines(data: bytes) -> Any:
    return [json.loads(line) for line in data.decode().split("\n")]


def _npz(arrays: Any) -> bytes:
    stream = io.BytesIO()
    arrays = arrays if isinstance(arrays, dict) else {"arr_0": arrays}
    np.savez(stream, **{str(k) or "x": np.asarray(v) for k, v in arrays.items()})
    return stream.getvalue()


def _read_npz(data: bytes) -> Any:
    with np.load(io.BytesIO(data)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array))
    return stream.getvalue()


def _torch(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _torch_old(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _load_torch(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=False)


def _tensors(value: Any) -> bytes:
    from safetensors.numpy import save

    values = value if isinstance(value, dict) else {"x": value}
    return save({str(k): np.ascontiguousarray(v) for k, v in values.items()})


def _read_tensors(data: bytes) -> Any:
    from safetensors.numpy import load

    return load(data)


JSON = Form("json", json.loads, _json, text=True)
LINES = Form("jsonl", _lines, lambda v: b"\n".join(_json(x) for x in v), text=True)
YAML = Form("yaml", yaml.safe_load, lambda v: yaml.safe_dump(v).encode(), text=True)
CSV = Form("csv", *_rows(","), text=True)
TSV = Form("tsv", *_rows("\t"), text=True)
COLUMNS = Form("columns", *_rows(" "), text=True)
TEXT = Form("text", text=True)
BYTES = Form("bytes")
PICKLE = Form("pickle", pickle.loads, pickle.dumps)
TORCH = Form("torch", _load_torch, _torch)
TORCH_OLD = Form("torch (old)", _load_torch, _torch_old)
NPZ = Form("npz", _read_npz, _npz)
NPY = Form("npy", lambda data: np.load(io.BytesIO(data)), _npy)
TENSORS = Form("safetensors", _read_tensors, _tensors)
