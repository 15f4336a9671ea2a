"""A training that is killed again and again ends as if nobody had touched it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from egolib.engine.snapshot import Snapshots
from tests.helpers.killing import log_without_times, result_without_times, start_and_kill
from tests.helpers.tiny import egolib

UPDATES = ("-p", "epochs=24", "-p", "snapshot_updates=4", "-p", "evaluate_every=8")
MOMENTS = (5, 47, 90)  # updates after which everything is killed


def arguments(name: str) -> list[str]:
    return ["run", "nlq/2_train", "--preset", "tiny", "--name", name, *UPDATES]


def folder(root: Path, name: str) -> Path:
    return root / "runs" / name / "nlq" / "scratch" / "2_train"


@pytest.mark.slow
@pytest.mark.xdist_group("tiny")
def test_killed_runs_end_the_same(tiny):
    root, _ = tiny
    assert egolib(root, *arguments("whole")).returncode == 0
    for update in MOMENTS:
        command = [sys.executable, "-m", "egolib", *arguments("killed")]
        start_and_kill(command, folder(root, "killed") / "train" / "metrics.jsonl", update, root)
    finished = egolib(root, *arguments("killed"))
    assert finished.returncode == 0, finished.stderr
    whole, killed = (folder(root, name) for name in ("whole", "killed"))
    for name in ("model", "ema"):
        file = Path("train") / f"{name}.safetensors"
        assert (whole / file).read_bytes() == (killed / file).read_bytes(), name
    assert log_without_times(whole / "train") == log_without_times(killed / "train")
    assert result_without_times(whole) == result_without_times(killed)
    snapshots = [Snapshots(f / "train").read() for f in (whole, killed)]
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
        for number, (left, right) in enumerate(zip(a, b, strict=False)):
            assert_equal(left, right, f"{where}[{number}]")
    else:
        assert a == b, where
