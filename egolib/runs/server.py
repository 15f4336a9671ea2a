"""The process that the steps of a run are forked from, so that they start warm.

A notebook's process and its kernel take ten seconds to import what every step imports,
longer than many a step on ``tiny`` takes. Here the libraries are imported once, and each
step is a fork. Of egolib only what forks is imported before: a step runs the code that its
stamp names, also where a file was edited during the run.

``egolib.runs.starter`` starts this with ``python -m`` and the names of the libraries, and
writes a line of JSON for each step to its standard input; one comes back when it has
started, and one when it has ended.
"""

from __future__ import annotations

import gc
import json
import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from egolib.runs.forks import leave

POLL_SEC = 0.05


def main() -> int:
    """The exit code of the server; its forks, the steps, never return from here."""
    libraries = sys.argv[1:]
    if libraries:
        _import(libraries)
    running: dict[int, str] = {}
    for request in _requests(running):
        child = os.fork()
        if not child:
            leave(partial(_run, request, warm=bool(libraries)))
        running[child] = request["node"]
        _say(node=request["node"], pid=child)
    return 0


def _import(libraries: list[str]) -> None:
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # a kernel's
    for name in libraries:
        with suppress(ImportError):  # the step that needs it says so
            import_module(name)
    gc.freeze()  # forks need not look through what they share


def _requests(running: dict[int, str]) -> Iterator[dict[str, Any]]:
    """What is asked for, line by line, until the runner is gone; says what ended meanwhile."""
    pending = b""
    while True:
        if select.select([0], [], [], POLL_SEC)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            yield from map(json.loads, lines)
        _say_ended(running)


def _say_ended(running: dict[int, str]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _say(node=running.pop(pid), code=os.waitstatus_to_exitcode(status))


def _say(**values: str | int) -> None:
    print(json.dumps(values), flush=True)


def _run(request: dict[str, Any], *, warm: bool) -> int:
    """Becomes the process of a step: session, environment, folder and log of its own."""
    os.setsid()  # Ctrl-C reaches the runner alone, which ends the rest
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    _redirect(Path(request["log"]))
    sys.argv = ["egolib.runs.execute", request["node"]]
    if warm:
        from egolib.runs.kernel import fork_kernel

        fork_kernel()
    from egolib.runs.execute import main as execute

    return execute()


def _redirect(log: Path) -> None:
    """Reads nothing, and writes to the step's log."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        opened = os.open(os.devnull if number == 0 else log, flags, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    os.dup2(1, 2)


if __name__ == "__main__":
    sys.exit(main())
