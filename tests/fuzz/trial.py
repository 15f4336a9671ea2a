"""Tries mutations of a reader's sample in a process of its own, and says what came of each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from tests.fuzz.mutations import mutate
from tests.fuzz.readers import Reader

LATEST_SEC = 20
MEMORY = 16 << 30


def trials(reader: Reader, count: int) -> list[dict[str, Any]]:
    """One record a mutation: ``outcome``, ``kind``, ``where``, and what was said.

    Outcomes: ``error``, ``same``, ``listed``, ``other``, ``traceback``, ``unplaced`` (an error
    without a file), ``late``, ``death``.
    """
    _warm()
    found: list[dict[str, Any]] = []
    while len(found) < count and not any(t["outcome"] == "harness" for t in found[-1:]):
        found += _in_child(reader, len(found), count)
    return found


@cache
def _warm() -> None:
    """Imports what readers need, so that no child has to."""
    for module in ("pandas", "scipy.io", "torch", "safetensors.torch", "lmdb", "PIL.Image", "av",
                   "lightning_fabric.strategies", "tokenizers", "egolib.vlp.features.questions",
                   "egolib.vlp.evaluation", "egolib.vod.evaluation", "egolib.mq.evaluation",
                   "egolib.nlq.evaluation", "egolib.vq2d.evaluation",
                   "egolib.cli.app"):  # fmt: skip
        import_module(module)


def _in_child(reader: Reader, first: int, count: int) -> list[dict[str, Any]]:
    """The trials up to the last, or to one that kills the process."""
    receive, send = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(receive)
        _work(reader, first, count, send)
    os.close(send)
    begin = time.monotonic()
    found = []
    for line in _lines(receive, LATEST_SEC + 10):
        found.append(json.loads(line))
        begin = time.monotonic()
    os.close(receive)
    late = time.monotonic() - begin > LATEST_SEC
    if late:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    broken = bool(found) and found[-1]["outcome"] == "harness"
    if first + len(found) < count and not broken:
        _, kind, where = _mutation(reader, first + len(found))
        outcome = "late" if late else "death"
        found.append({"outcome": outcome, "kind": kind, "where": where, "said": ""})
    return found


def _lines(stream: int, longest_sec: float) -> Iterator[bytes]:
    """Lines of a pipe, until it ends or is silent for too long."""
    rest = b""
    while select.select([stream], [], [], longest_sec)[0]:
        data = os.read(stream, 1 << 16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def _mutation(reader: Reader, number: int) -> tuple[bytes, str, str]:
    rng = random.Random(f"{reader.name} {number}")
    return mutate(reader.form, reader.sample(), rng)


def _work(reader: Reader, first: int, count: int, send: int) -> None:
    """The child: never returns."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, _too_late)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        good = _outcome(reader, reader.sample(), folder)
        assert good["outcome"] == "value", good
        for number in range(first, count):
            data, kind, where = _mutation(reader, number)
            found = _compared(_outcome(reader, data, folder), good)
            line = json.dumps({**found, "kind": kind, "where": where}).encode() + b"\n"
            os.write(send, line)
    except BaseException:
        said = {"outcome": "harness", "kind": "", "where": "", "seconds": 0,
                "said": traceback.format_exc()[-600:]}  # fmt: skip
        os.write(send, json.dumps(said).encode() + b"\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


class _Late(BaseException):
    """The reader took too long."""


def _too_late(*_: object) -> None:
    raise _Late


def _outcome(reader: Reader, data: bytes, folder: Path) -> dict[str, Any]:
    """What a reader makes of these bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, make in reader.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(make())
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    begin = time.monotonic()
    signal.alarm(LATEST_SEC)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            value = reader.read(path)
        value, listed = value if _is_listed(value) else (value, [])
        seen = [*map(str, listed), *(str(warning.message) for warning in told)]
        found = {"outcome": "value", "value": fingerprint(value), "listed": seen}
    except EgolibError as error:
        placed = error.file is not None
        found = {"outcome": "error" if placed else "unplaced", "said": str(error)[:300]}
    except _Late:
        found = {"outcome": "late", "said": "".join(traceback.format_stack()[-3:])}
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"[:200] + " @ " + _place(error)
        found = {"outcome": "traceback", "said": said}
    signal.alarm(0)
    return {"said": "", **found, "seconds": time.monotonic() - begin}


def _is_listed(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], list)


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/egolib/" in f.filename]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"


def _compared(found: dict[str, Any], good: Mapping[str, Any]) -> dict[str, Any]:
    outcome = found["outcome"]
    if outcome == "value":
        if found["value"] == good["value"]:
            outcome = "same"
        else:
            outcome = "listed" if set(found["listed"]) - set(good["listed"]) else "other"
    return {"outcome": outcome, "said": found["said"], "seconds": found["seconds"]}


def fingerprint(value: Any) -> str:
    """A digest of anything that readers give: equal values give equal digests."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if hasattr(value, "detach"):
        value = value.detach().float().numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.shape}{value.dtype}".encode())
        if value.dtype.kind in "biufc":
            digest.update(value.tobytes())
        else:
            digest.update(repr(value.tolist()).encode("utf-8", "surrogatepass"))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _feed(digest, (key, part))
    elif isinstance(value, list | tuple | set):
        digest.update(f"<{len(value)}".encode())
        for part in value:
            _feed(digest, part)
    else:
        text = value.name if isinstance(value, Path) else repr(value)
        digest.update(text.encode("utf-8", "surrogatepass"))
