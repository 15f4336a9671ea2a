"""Looking at a step: its log as it grows, its executed notebook in JupyterLab."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from egolib.errors import UsageError
from egolib.runs.execute import is_running


def log_lines(out: Path, *, follow: bool = False, poll_sec: float = 0.5) -> Iterator[str]:
    """The lines of a step's log.

    Args:
        out: the step's folder.
        follow: waits for further lines as long as the step runs.
        poll_sec: time between two looks.

    Raises:
        UsageError: the folder holds no log.
    """
    file = out / "log.txt"
    if not file.is_file():
        raise UsageError(f"no log in {out}", remedy="`egolib status` lists the steps")
    with file.open(errors="replace") as stream:
        while True:
            running = follow and is_running(out)
            for line in stream:
                yield line.rstrip("\n")
            if not running:
                return
            time.sleep(poll_sec)


def open_notebook(out: Path) -> int:
    """Opens a step's executed notebook in JupyterLab; returns its exit code.

    Raises:
        UsageError: the step has no executed notebook, or JupyterLab is not installed.
    """
    notebooks = sorted(out.glob("*.ipynb"))
    if not notebooks:
        raise UsageError(f"no executed notebook in {out}", remedy="`egolib status` lists the steps")
    if subprocess.run([sys.executable, "-c", "import jupyterlab"], capture_output=True).returncode:
        raise UsageError("JupyterLab is not installed", remedy="pip install 'egolib[book]'")
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(notebooks[0])]).returncode
