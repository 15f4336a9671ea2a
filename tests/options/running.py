"""Runs alternatives, each in a forked process of its own with a time limit."""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from egolib.errors import EgolibError
from tests.options.alternatives import Alternative

LIMIT_SEC = 240


@dataclass(frozen=True)
class Outcome:
    """What became of an alternative: ``ran``, ``refused`` (a clear error) or ``broken``."""

    kind: str
    text: str


def try_all(
    alternatives: Sequence[Alternative], attempt: Callable[[Alternative], None]
) -> list[Outcome]:
    """One outcome an alternative, printed as they come.

    Args:
        alternatives: to try.
        attempt: builds, trains and infers.
    """
    outcomes = []
    for alternative in alternatives:
        outcome = _in_own_process(alternative, attempt)
        print(f"{outcome.kind:8} {alternative}  {outcome.text}".rstrip(), flush=True)
        outcomes.append(outcome)
    return outcomes


def _in_own_process(alternative: Alternative, attempt: Callable[[Alternative], None]) -> Outcome:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(alternative, attempt, theirs))
    process.start()
    theirs.close()
    kind, text = "broken", f"no answer within {LIMIT_SEC} s, or the process ended"
    if ours.poll(LIMIT_SEC):
        with suppress(EOFError):
            kind, text = ours.recv()
    process.kill()
    process.join()
    return Outcome(kind, text)


def _child(alternative: Alternative, attempt: Callable[[Alternative], None], pipe: Any) -> None:
    sys.stdout = open("/dev/null", "w")  # noqa: SIM115  (what a step prints is not looked at)
    try:
        attempt(alternative)
        pipe.send(("ran", ""))
    except EgolibError as error:
        pipe.send(("refused", " | ".join(str(error).split("\n"))))
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        pipe.send(("broken", " ".join(text.split())[:400]))
