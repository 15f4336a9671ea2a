"""A training that is killed again and again ends as if nobody had touched it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from egolib.records import read_json, read_jsonl
from tests.tiny import egolib

UPDATES = ("-p", "epochs=24", "-p", "snapshot_updates=4", "-p", "evaluate_every=8")
MOMENTS = (5, 47, 90)  # updates after which everything is killed
VOLATILE = ("versions", "hardware", "commit", "wall_sec")


def arguments(name: str) -> list[str]:
    return ["run", "nlq/2_train", "--preset", "tiny", "--name", name, *UPDATES]


def start_and_kill(root: Path, name: str, update: int) -> None:
    """Runs until the log has passed an update, then kills the whole tree of processes."""
    log = root / "runs" / name / "nlq" / "scratch" / "2_train" / "train" / "metrics.jsonl"
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


def without_times(folder: Path) -> list[dict]:
    lines = read_jsonl(folder / "train" / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_killed_runs_end_the_same(tiny):
    root, _ = tiny
    assert egolib(root, *arguments("whole")).returncode == 0
    for update in MOMENTS:
        start_and_kill(root, "killed", update)
    finished = egolib(root, *arguments("killed"))
    assert finished.returncode == 0, finished.stderr
    whole, killed = (root / "runs" / n / "nlq" / "scratch" / "2_train" for n in ("whole", "killed"))
    for name in ("model", "ema"):
        file = Path("train") / f"{name}.safetensors"
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), name
    assert without_times(whole) == without_times(killed)
    results = [read_json(folder / "result.json") for folder in (whole, killed)]
    kept = [{k: v for k, v in result.items() if k not in VOLATILE} for result in results]
    assert kept[0] == kept[1]
    snapshots = [
        torch.load(f / "train" / "snapshot.pt", weights_only=True) for f in (whole, killed)
    ]
    assert_equal(*snapshots)


def assert_equal(a, b, where="snapshot"):
    """Nested values, tensors compared exactly; the log's length depends on its times."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a.keys() - {"log_offset"}:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for number, (left, right) in enumerate(zip(a, b)):
            assert_equal(left, right, f"{where}[{number}]")
    else:
        assert a == b, where
