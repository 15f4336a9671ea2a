"""Several at once, a full disk, a clock that goes back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from egolib.errors import EgolibError
from egolib.io.records import atomic_path, write_json
from egolib.runs.local import run_local
from egolib.runs.plan import Request, plan, plan_grid
from tests.engine import toy
from tests.runs.conftest import project as project  # the miniature project
from tests.runs.project import schema

REQUEST = Request("nlq", variant="scratch", preset="tiny")


@pytest.mark.slow
def test_several_kernels_start_at_once(project):
    points = plan_grid(REQUEST, {"seed": [0, 1, 2, 3]}, schema)
    outcome = run_local([node for point in points for node in point.nodes], jobs=4)
    assert set(outcome.states.values()) == {"done"}


@pytest.mark.slow
def test_two_runs_in_one_folder(project):
    """One of them runs a step, the other one waits for it; the result is written once."""
    nodes = plan(REQUEST, schema)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: run_local(nodes, jobs=1), range(2)))
    assert {state for outcome in outcomes for state in outcome.states.values()} <= {
        "done",
        "current",
    }
    assert json.loads((nodes[-1].out / "result.json").read_text())["metrics"]["sum"] == 105.0


def test_a_clock_that_goes_back(tmp_path, monkeypatch):
    """Snapshots are told by their updates, durations by a clock that only advances."""
    whole = toy.run(tmp_path / "whole")
    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    again = toy.run(tmp_path / "back")
    assert losses(again) == losses(whole)


def losses(result) -> list[float]:
    return [line["loss"] for line in result.losses()]


@pytest.fixture
def small_disk(tmp_path) -> Path:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_names_the_file_and_keeps_what_is_there(small_disk):
    file = write_json(small_disk / "result.json", {"kept": 1})
    with pytest.raises(EgolibError, match="the disk is full: .* MiB are free") as error:
        write_json(file, ["x" * 100] * 10_000)
    assert str(file) in str(error.value) and "--runs-dir" in str(error.value)
    assert json.loads(file.read_text()) == {"kept": 1}
    assert [path.name for path in small_disk.iterdir()] == ["result.json"]


def test_a_training_on_a_full_disk_goes_on_elsewhere(small_disk, tmp_path):
    """The snapshot that does not fit is told with its file; the one before is kept whole."""
    (small_disk / "filling").write_bytes(bytes(250 * 1024))
    with pytest.raises(EgolibError, match="the disk is full"):
        toy.run(small_disk / "train")
    (small_disk / "filling").unlink()
    assert losses(toy.run(small_disk / "train")) == losses(toy.run(tmp_path / "train"))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npy"])
def test_writers_of_libraries_say_that_the_disk_is_full(small_disk, suffix):
    tensor = torch.zeros(100_000)
    with (
        pytest.raises(EgolibError, match="the disk is full"),
        atomic_path(small_disk / f"weights{suffix}") as temporary,
    ):
        if suffix == ".safetensors":
            save_file({"weight": tensor}, temporary)
        elif suffix == ".pt":
            torch.save(tensor, temporary)
        else:
            np.save(temporary, tensor.numpy())
    assert not list(small_disk.iterdir())
