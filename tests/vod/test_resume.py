"""A training that is killed again and again ends as if nobody had touched it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from egolib.records import read_jsonl
from egolib.vod import job
from tests.vod.project import SELSA, changed, make_root, step

LENGTH = {"fit": {"max_updates": 24, "epochs": 9, "snapshot_updates": 3}}
MOMENTS = (4, 13)  # updates after which the process is killed
CODE = """
import sys, torch
from pathlib import Path
from tests.vod.test_resume import run
torch.set_num_threads(1)
run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def run(root: Path, out: Path):
    """Trains, or continues, into a folder."""
    made = step("2_train", root, root.parent, SELSA | LENGTH, "selsa_staged")
    return job.train(changed(made, out=out))


def reached(log: Path) -> int:
    """The last update in a log that may end in half a line."""
    for line in reversed(log.read_text().splitlines() if log.is_file() else []):
        try:
            return int(json.loads(line)["update"])
        except json.JSONDecodeError:
            continue
    return 0


def start_and_kill(root: Path, out: Path, update: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CODE, str(root), str(out)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while reached(out / "train" / "metrics.jsonl") < update:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.kill()
    process.wait()


def without_times(folder: Path) -> list[dict]:
    lines = read_jsonl(folder / "train" / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


@pytest.mark.slow
def test_killed_trainings_end_the_same(tmp_path):
    root = make_root(tmp_path)
    whole = run(root, tmp_path / "whole")
    for update in MOMENTS:
        start_and_kill(root, tmp_path / "killed", update)
    killed = run(root, tmp_path / "killed")
    assert whole.weights.read_bytes() == killed.weights.read_bytes()
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "killed")
