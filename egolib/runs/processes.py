"""Ending the processes of a run: runner, notebook, kernel, training workers."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

#: How long a training may take to write its snapshot after it was asked to stop.
GRACE_SEC = 7.0


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], str]]:
    """Gives a function that names the signal which asked this process to stop, "" before one did.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) are only noted, so that nothing
    is left half done; whoever loops asks.
    """
    asked: list[str] = []

    def note(number: int, frame: object) -> None:
        asked.append(signal.Signals(number).name)

    main = threading.current_thread() is threading.main_thread()
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if main else ()
    before = {number: signal.signal(number, note) for number in wanted}
    try:
        yield lambda: asked[0] if asked else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_trees(pids: Iterable[int], grace_sec: float = GRACE_SEC) -> None:
    """Ends processes with all that they started, gently first.

    The innermost processes, where trainings run, are asked to stop first and have
    ``grace_sec`` to write a snapshot; then everything that is left is killed.

    Args:
        pids: the outermost processes.
        grace_sec: seconds before the rest is killed.
    """
    roots = [process for pid in pids if (process := _process(pid)) is not None]
    inner = [child for root in roots for child in _children(root)]
    for process in inner:
        _send(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_sec
    psutil.wait_procs(inner, timeout=grace_sec)
    for process in roots:
        _send(process, signal.SIGTERM)
    psutil.wait_procs(roots, timeout=max(0.5, deadline - time.monotonic()))
    left = [p for root in roots for p in [*_children(root), root]] + inner
    for process in left:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=2)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
        return found
    except psutil.NoSuchProcess:
        return []


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
