"""Both trainings, killed again and again, end as if nobody had touched them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from egolib.records import read_json
from tests.tiny import copy_project, egolib

LENGTH = ("-p", "fit.max_updates=10", "-p", "tracker_train.updates=8", "-p", "snapshot_updates=3")
MOMENTS = (("detector", 4), ("tracker", 2))  # training and update after which it is killed
VOLATILE = ("versions", "hardware", "commit", "wall_sec")


def folder(root: Path, name: str) -> Path:
    return root / "runs" / name / "vq2d" / "improved" / "2_train"


def arguments(name: str) -> list[str]:
    return ["run", "vq2d/2_train", "--preset", "tiny", "--name", name, *LENGTH]


def start_and_kill(root: Path, name: str, training: str, update: int) -> None:
    """Runs until a training's log has passed an update, then kills the whole tree."""
    log = folder(root, name) / training / "metrics.jsonl"
    environment = {**os.environ, "EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "egolib", *arguments(name)]
    process = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.DEVNULL)
    while reached(log) < update:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in tree:
        member.kill()
    psutil.wait_procs(tree)


def reached(log: Path) -> int:
    """The last update in a log that may end in half a line."""
    lines = log.read_text().splitlines() if log.is_file() else []
    for line in reversed(lines):
        try:
            return int(json.loads(line)["update"])
        except json.JSONDecodeError:
            continue
    return 0


@pytest.mark.slow
@pytest.mark.xdist_group("vq2d_resume")
def test_killed_trainings_end_the_same(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    whole = egolib(root, *arguments("whole"))
    assert whole.returncode == 0, whole.stderr
    for training, update in MOMENTS:
        start_and_kill(root, "killed", training, update)
    finished = egolib(root, *arguments("killed"))
    assert finished.returncode == 0, finished.stderr
    for name in ("detector", "tracker"):
        file = Path(name) / "model.safetensors"
        weights = [(folder(root, run) / file).read_bytes() for run in ("whole", "killed")]
        assert weights[0] == weights[1], name
    results = [read_json(folder(root, run) / "result.json") for run in ("whole", "killed")]
    kept = [{k: v for k, v in result.items() if k not in VOLATILE} for result in results]
    assert kept[0] == kept[1]
