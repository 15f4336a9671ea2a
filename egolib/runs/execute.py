"""One node: its notebook through papermill, in this process.

``python -m egolib.runs.execute <folder>/node.json`` is what both the local
runner and a Slurm job start.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import (
    make_folder,
    read_json,
    remove_temporaries,
    write_json,
    write_text,
)
from egolib.progress import line
from egolib.runs import stamps
from egolib.runs.display import main_metrics, read_progress
from egolib.runs.node import Node


def execute(node: Node) -> None:
    """Runs a node and stamps it.

    The executed notebook is written cell by cell, so that a failed one can be read.
    A training inside continues from its snapshot, unless the step is forced, or had been
    finished and something that it rests on changed since. Where another process is running
    the same step, this one waits for it, and has nothing to do if that one finished it.

    Raises:
        EgolibError: a cell failed, the kernel died, or the notebook wrote no ``result.json``.
    """
    make_folder(node.out)
    with _lock(node.out / ".lock") as waited:
        if waited and not node.force and not stamps.reasons(node):
            return
        stamp = stamps.stamp_of(node)
        _begin(node)
        with (node.out / "log.txt").open("a", buffering=1) as log, _told(node, log):
            _run_notebook(node, log)
            _require_success(node)
        write_json(node.out / "stamp.json", stamp, indent=1)


@contextmanager
def _told(node: Node, log: TextIO) -> Iterator[None]:
    """Lines of the log that say when a notebook was begun, how it ended, and what it measured."""
    begin = time.monotonic()
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} runs {node.notebook}", file=log)
    try:
        yield
    except EgolibError as error:
        print(f"failed after {time.monotonic() - begin:.0f} s: {error}", file=log)
        raise
    last = read_progress(node.out)
    if last:
        print(f"{last['what']}: {line(last)}", file=log)
    metrics = main_metrics(node.out)
    print(f"done in {time.monotonic() - begin:.0f} s{f', {metrics}' if metrics else ''}", file=log)


def _run_notebook(node: Node, log: TextIO) -> None:
    """Executes the notebook; errors of cells and of the kernel become ours."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)  # its warnings look like failure
    killed_before = out_of_memory_kills()
    try:
        papermill.execute_notebook(
            str(node.notebook),
            str(node.executed),
            parameters=node.parameters,
            kernel_name="python3",
            kernel_manager_class="egolib.runs.kernel.FileKernelManager",
            cwd=str(configs.project_root()),
            progress_bar=False,
            stdout_file=log,
            stderr_file=log,
        )
    except PapermillExecutionError as error:
        raise EgolibError(
            f"{error.ename}: {error.evalue}",
            file=node.executed,
            record=f"cell {error.exec_count}",
            remedy="the executed notebook holds the whole error",
        ) from error
    except (DeadKernelError, RuntimeError) as error:
        raise EgolibError(
            f"the kernel died ({_cause(killed_before)}): {error}",
            file=node.executed,
            remedy=f"see {node.out / 'log.txt'}; the same command continues",
        ) from error


def _cause(killed_before: int | None) -> str:
    """Why a kernel may have died, where the system tells."""
    killed = out_of_memory_kills()
    if killed_before is not None and killed is not None and killed > killed_before:
        return "the system killed a process because memory ran out"
    return "a signal, or a crash in compiled code"


def out_of_memory_kills() -> int | None:
    """How many processes the system has killed for lack of memory; None where it does not tell."""
    for file in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            lines = Path(file).read_text().splitlines()
        except OSError:
            continue
        for name, _, value in (text.partition(" ") for text in lines):
            if name == "oom_kill":
                return int(value)
    return None


def _begin(node: Node) -> None:
    """Removes what would be stale: results, snapshots of a training that was finished, and
    temporary files of a run that was killed."""
    if node.force or (node.out / "stamp.json").is_file():
        for snapshot in node.out.rglob("snapshot-*.pt"):
            snapshot.unlink()
    for name in ("stamp.json", "result.json", "finished", "launch.json"):
        (node.out / name).unlink(missing_ok=True)
    remove_temporaries(node.out)


def _require_success(node: Node) -> None:
    metadata = read_json(node.executed, dict)["metadata"].get("papermill", {})
    if metadata.get("exception"):
        raise EgolibError("a cell failed", file=node.executed)
    if not (node.out / "result.json").is_file():
        raise EgolibError("the notebook wrote no result.json", file=node.executed)


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Only one process at a time runs a step; gives whether another one was waited for."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            waited = False
        except OSError:
            print(f"waiting for another process that runs {path.parent}", flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
            waited = True
        yield waited


def is_running(out: Path) -> bool:
    """Whether a process is running the step in this folder."""
    if not (out / ".lock").is_file():
        return False
    with (out / ".lock").open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def main() -> int:
    """Exit code 0 when the node named on the command line succeeded, else 1."""
    os.environ.setdefault("EGOLIB_HEADLESS", "1")
    file = Path(sys.argv[1])
    try:
        execute(Node.read(file))
    except EgolibError as error:
        write_text(file.parent / "error.txt", f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
