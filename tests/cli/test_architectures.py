"""What ``egolib convert`` refuses before torch is loaded."""

from __future__ import annotations

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
