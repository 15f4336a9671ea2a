"""One node: its notebook through papermill, in this process.

``python -m egolib.runs.execute <folder>/node.json`` is what both the local
runner and a Slurm job start.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json, write_text
from egolib.runs import stamps
from egolib.runs.node import Node


def execute(node: Node) -> None:
    """Runs a node and stamps it.

    The executed notebook is written cell by cell, so that a failed one can be read.
    A training inside continues from its snapshot, unless the step had been finished
    and something that it rests on changed since.

    Raises:
        EgolibError: a cell failed, or the notebook wrote no ``result.json``.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    node.out.mkdir(parents=True, exist_ok=True)
    with _lock(node.out / ".lock"):
        stamp = stamps.stamp_of(node)
        _begin(node)
        with (node.out / "log.txt").open("a") as log:
            try:
                papermill.execute_notebook(
                    str(node.notebook),
                    str(node.executed),
                    parameters=node.parameters,
                    kernel_name="python3",
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
        _require_success(node)
        write_json(node.out / "stamp.json", stamp, indent=1)


def _begin(node: Node) -> None:
    """Removes what would be stale: results, and snapshots of a training that was finished."""
    if (node.out / "stamp.json").is_file():
        for snapshot in node.out.rglob("snapshot.pt"):
            snapshot.unlink()
    for name in ("stamp.json", "result.json", "finished", "launch.json"):
        (node.out / name).unlink(missing_ok=True)


def _require_success(node: Node) -> None:
    metadata = read_json(node.executed, dict)["metadata"].get("papermill", {})
    if metadata.get("exception"):
        raise EgolibError("a cell failed", file=node.executed)
    if not (node.out / "result.json").is_file():
        raise EgolibError("the notebook wrote no result.json", file=node.executed)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Only one process at a time runs a step."""
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise EgolibError(
                "another process is running this step", file=path.parent, remedy="wait for it"
            ) from error
        yield


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
