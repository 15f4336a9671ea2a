"""Runs alternatives, each in a forked process of its own with a time limit."""

from __future__ import annotations

import multiprocessing
import re
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from tests.options.alternatives import Alternative

LIMIT_SEC = 240
LIBRARIES = ("egolib", "torch", "lightning", "pandas", "scipy", "tensorboard", "faster_coco_eval")
RESULTS = Path(__file__).parent / "results"
PROJECT = Path(__file__).parents[2]

#: What became of an alternative by its text: ``ran``, or ``refused`` or ``broken`` with why.
Results = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of an alternative: ``ran``, ``refused`` (a clear error) or ``broken``."""

    kind: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"[:300] if self.text else self.kind


def read_results(file: Path) -> Results:
    """A list of results; empty before the first sweep."""
    return read_json(file) if file.is_file() else {}


def add_result(file: Path, text: str, outcome: Outcome) -> None:
    """Writes a result into a list, sorted; other sweeps may write there, too.

    Args:
        file: the list.
        text: of the alternative.
        outcome: what became of it.
    """
    results = read_results(file) | {text: str(outcome)}
    write_json(file, dict(sorted(results.items())), indent=0)


def try_one(alternative: Alternative, attempt: Callable[[Alternative], None]) -> Outcome:
    """Tries an alternative in a forked process.

    Args:
        alternative: to try.
        attempt: builds, trains and infers.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(alternative, attempt, theirs))
    process.start()
    theirs.close()
    kind, text = "broken", f"no answer within {LIMIT_SEC} s, or the process ended"
    loaded: set[str] = set()
    if ours.poll(LIMIT_SEC):
        with suppress(EOFError):
            kind, text = ours.recv()
            loaded = ours.recv()
    process.kill()
    process.join()
    _load(loaded)
    return Outcome(kind, text)


def _load(names: set[str]) -> None:
    """Imports what an attempt needed, so that the next ones find it in memory."""
    for name in sorted(names - sys.modules.keys()):
        if name.startswith(LIBRARIES):
            with suppress(Exception):
                import_module(name)


def _child(alternative: Alternative, attempt: Callable[[Alternative], None], pipe: Any) -> None:
    sys.stdout = sys.stderr = open("/dev/null", "w")  # noqa: SIM115  (what a step prints)
    try:
        attempt(alternative)
        pipe.send(("ran", ""))
    except EgolibError as error:
        pipe.send(("refused", _plain(error)))
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        pipe.send(("broken", _plain(text)[:400]))

    pipe.send(set(sys.modules))


def _plain(text: object) -> str:
    """On one line, without the machine's folders."""
    plain = re.sub(rf"{tempfile.gettempdir()}/\w+/", "", str(text).replace(f"{PROJECT}/", ""))
    return " ".join(plain.split())
