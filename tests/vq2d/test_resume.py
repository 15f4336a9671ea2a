"""Both trainings, killed again and again, end as if nobody had touched them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers.killing import result_without_times, start_and_kill
from tests.helpers.tiny import copy_project, egolib

LENGTH = ("-p", "fit.max_updates=10", "-p", "tracker_optim.updates=8", "-p", "snapshot_updates=3")
MOMENTS = (("detector", 4), ("tracker", 2))  # training and update after which it is killed


def folder(root: Path, name: str) -> Path:
    return root / "runs" / name / "vq2d" / "improved" / "2_train"


def arguments(name: str) -> list[str]:
    return ["run", "vq2d/2_train", "--preset", "tiny", "--name", name, *LENGTH]


@pytest.mark.slow
@pytest.mark.xdist_group("vq2d_resume")
def test_killed_trainings_end_the_same(tmp_path: Path) -> None:
    root = copy_project(tmp_path)
    whole = egolib(root, *arguments("whole"))
    assert whole.returncode == 0, whole.stderr
    for training, update in MOMENTS:
        command = [sys.executable, "-m", "egolib", *arguments("killed")]
        log = folder(root, "killed") / training / "metrics.jsonl"
        start_and_kill(command, log, update, root)
    finished = egolib(root, *arguments("killed"))
    assert finished.returncode == 0, finished.stderr
    for name in ("detector", "tracker"):
        file = Path(name) / "model.safetensors"
        weights = [(folder(root, run) / file).read_bytes() for run in ("whole", "killed")]
        assert weights[0] == weights[1], name
    results = [result_without_times(folder(root, run)) for run in ("whole", "killed")]
    assert results[0] == results[1]
