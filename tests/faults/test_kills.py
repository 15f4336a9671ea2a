"""A chain that is killed at random moments, again and again, ends as if nobody had touched it.

``make faults`` kills every task ``EGOLIB_FAULTS`` times (6); the tests of each task kill its
training at chosen updates.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from egolib.config import TASKS, read_chain
from tests.helpers.answers import answers, weights
from tests.helpers.tiny import egolib

KILLS = int(os.environ.get("EGOLIB_FAULTS", "0"))


def killed_after(command: list[str], root: Path, seconds: float) -> bool:
    """Runs a command for so long and kills all its processes; False where it ended before."""
    environment = {**os.environ, "EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.DEVNULL)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        parent = psutil.Process(process.pid)
        tree = [*parent.children(recursive=True), parent]
        for member in tree:
            member.kill()
        psutil.wait_procs(tree)
        return True


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
@pytest.mark.skipif(not KILLS, reason="minutes: `make faults`")
@pytest.mark.parametrize("task", TASKS)
def test_a_chain_survives_kills(task, tiny):
    root, _ = tiny
    variant = read_chain(task).variants[-1]
    call = ["run", task, "--variant", variant, "--preset", "tiny", "--name", "killed"]
    command = [sys.executable, "-m", "egolib", *call, "--jobs", "1"]
    moments, begin = random.Random(task), time.monotonic()
    for number in range(KILLS):
        seconds = moments.uniform(3, 25)
        if not killed_after(command, root, seconds):
            break
        print(f"kill {number + 1} after {seconds:.1f} s, at {time.monotonic() - begin:.0f} s")
    finished = egolib(root, *call, "--jobs", "1")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for step in ("2_train", "3_infer"):
        whole, own = (root / "runs" / name / task / variant / step for name in ("tiny", "killed"))
        assert weights(own) == weights(whole)
        assert answers(own) == answers(whole), step
