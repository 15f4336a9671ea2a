"""What ``egolib convert`` refuses before torch is loaded."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from egolib.cli import architectures, conversion
from egolib.errors import EgolibError, UsageError
from egolib.io.foreign_weights import DTYPES


def test_the_names_are_those_of_the_architectures():
    assert architectures.names() == list(conversion.official_models())
    assert tuple(DTYPES) == architectures.DTYPES


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"model": "vod/frcnn"}, UsageError, "unknown model"),
        ({"weights": "ema"}, UsageError, "unknown weights"),
        ({"dtype": "float31"}, UsageError, "unknown type"),
        ({"source": "absent.pth"}, EgolibError, "does not exist"),
        ({"target": "."}, EgolibError, "this is a folder"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, change: dict, error: type, what: str):
    (tmp_path / "a.pth").touch()
    request = {"source": "a.pth", "target": "a.safetensors", "weights": "official"}
    request |= {"model": None, "dtype": "float32", **change}
    request |= {name: tmp_path / request[name] for name in ("source", "target")}
    with pytest.raises(error, match=what):
        architectures.check_request(**request)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.pth", b""), ("a.pth", b"<!DOCTYPE html>"), ("a.safetensors", b"\xff" * 8 + b"{"),
     ("a.safetensors", b"PK\x03\x04")],
)  # fmt: skip
def test_what_holds_no_weights(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EgolibError, match="no file of weights"):
        architectures.check_request(
            tmp_path / name, tmp_path / "b.safetensors", None, "official", "float32"
        )


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_may_hold_weights(tmp_path: Path, protocol: int):
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps({"blobs": {}}, protocol=protocol))
    architectures.check_request(file, tmp_path / "b.safetensors", None, "official", "float32")
