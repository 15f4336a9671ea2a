"""Runs alternatives, each in a forked process of its own with a time limit."""

from __future__ import annotations

import multiprocessing
import sys
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
        return f"{self.kind}: {self.text}" if self.text else self.kind


def read_results(task: str) -> Results:
    """The list of results of a task; empty before its first sweep."""
    file = RESULTS / f"{task}.json"
    return read_json(file) if file.is_file() else {}


def write_results(task: str, results: Results) -> None:
    """Writes the list of results of a task, sorted."""
    write_json(RESULTS / f"{task}.json", dict(sorted(results.items())))


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
    return " ".join(str(text).replace(f"{PROJECT}/", "").split())
