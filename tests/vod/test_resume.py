"""A training that is killed again and again ends as if nobody had touched it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from egolib.vod.steps import train
from tests.helpers.killing import log_without_times, start_and_kill
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
    return train.train(changed(made, out=out))


@pytest.mark.slow
def test_killed_trainings_end_the_same(tmp_path):
    root = make_root(tmp_path)
    whole = run(root, tmp_path / "whole")
    for update in MOMENTS:
        command = [sys.executable, "-c", CODE, str(root), str(tmp_path / "killed")]
        start_and_kill(command, tmp_path / "killed" / "train" / "metrics.jsonl", update)
    killed = run(root, tmp_path / "killed")
    assert whole.weights.read_bytes() == killed.weights.read_bytes()
    logs = [log_without_times(tmp_path / name / "train") for name in ("whole", "killed")]
    assert logs[0] == logs[1]
