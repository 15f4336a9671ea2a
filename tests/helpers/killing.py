"""Kills a training at a chosen update, and compares what runs left behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from egolib.io.records import read_json, read_jsonl

VOLATILE = ("versions", "hardware", "commit", "wall_sec")


def start_and_kill(
    command: Sequence[str], log: Path, update: int, root: Path | None = None
) -> None:
    """Runs a command until a training's log has passed an update, then kills all its processes.

    Args:
        root: the project that the command works in.
    """
    place = {"EGOLIB_ROOT": str(root)} if root else {}
    environment = {**os.environ, **place, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.DEVNULL)
    while reached(log) < update:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    parent = psutil.Process(process.pid)
    tree = [*parent.children(recursive=True), parent]
    for member in tree:
        member.kill()
    psutil.wait_procs(tree)


def reached(log: Path) -> int:
    """The last update in a log that may end in half a line."""
    for line in reversed(log.read_text().splitlines() if log.is_file() else []):
        try:
            return int(json.loads(line)["update"])
        except json.JSONDecodeError:
            continue
    return 0


def log_without_times(folder: Path) -> list[dict[str, Any]]:
    """The log of a training, as far as two runs of it agree."""
    lines = read_jsonl(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


def result_without_times(folder: Path) -> dict[str, Any]:
    """The result of a step, as far as two runs of it agree."""
    return {k: v for k, v in read_json(folder / "result.json").items() if k not in VOLATILE}
