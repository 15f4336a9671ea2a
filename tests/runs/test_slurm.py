"""Graphs on a real Slurm node: dependencies, arrays, failures, a training that is queued again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from egolib.runs.plan import Request, plan, plan_grid
from egolib.runs.slurm import run_slurm
from tests.helpers.tiny import copy_project, egolib
from tests.runs.project import schema

pytestmark = [pytest.mark.xdist_group("slurm"), pytest.mark.usefixtures("slurm_node")]
REQUEST = Request("nlq", variant="scratch", preset="tiny")
TRAINING = ["run", "nlq", "--variant", "scratch", "--preset", "tiny", "-p", "fit.epochs=60"]


def run(nodes):
    said = []
    return run_slurm(nodes, say=said.append, poll_sec=0.3), said


def results(root, name):
    files = sorted((root / "runs" / name / "nlq").rglob("result.json"))
    return {str(f.parent.name): json.loads(f.read_text())["metrics"] for f in files}


def test_a_failure_ends_what_waits_for_it_and_the_rest_is_done_later(project):
    changed = Request("nlq", variant="scratch", preset="tiny", overrides=("epochs=5000",))
    outcome, said = run(plan(changed, schema))
    assert list(outcome.states.values()) == ["done", "failed", "blocked", "blocked"]
    assert any("2_train: FAILED" in line for line in said)
    outcome, _ = run(plan(REQUEST, schema))
    assert list(outcome.states.values()) == ["current", "done", "done", "done"]


def test_points_of_a_grid_are_one_array(project):
    points = plan_grid(REQUEST, {"seed": [0, 1]}, schema)
    outcome, said = run([node for point in points for node in point.nodes])
    assert set(outcome.states.values()) == {"done"}
    jobs = [line.rpartition(" ")[2] for line in said if "2_train" in line and "submitted" in line]
    assert len({job.partition("_")[0] for job in jobs}) == 1
    sums = [json.loads((p.nodes[-1].out / "result.json").read_text())["metrics"] for p in points]
    assert sums[1]["sum"] - sums[0]["sum"] == 1.0


def started(root, *arguments):
    """The command line on that project, through Slurm, while it runs."""
    command = [sys.executable, "-m", "egolib", *arguments, "--executor", "slurm"]
    environment = {**os.environ, "EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True)


def queued(name, *, state):
    """Ids of the jobs of a name."""
    query = [f"--name={name}", f"--states={state}", "--noheader", "--array", "--format=%i"]
    return subprocess.run(["squeue", *query], capture_output=True, text=True).stdout.split()


@pytest.mark.slow
def test_a_training_queued_again_ends_as_the_local_one(tmp_path):
    """The same metrics in every step and the same weights, byte for byte."""
    root = copy_project(tmp_path)
    local = egolib(root, *TRAINING, "--name", "local", "--jobs", "1")
    assert local.returncode == 0, local.stdout + local.stderr
    running = started(root, *TRAINING, "--name", "slurm")
    train = root / "runs" / "slurm" / "nlq" / "scratch" / "2_train" / "train"
    while not list(train.glob("snapshot-*.pt")):
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.05)
    job = queued("nlq-scratch-2_train", state="PD,R")
    subprocess.run(["scontrol", "requeue", *job], check=True)
    assert not (train.parent / "result.json").is_file(), "requeued too late"
    printed, _ = running.communicate(timeout=300)
    assert running.returncode == 0, printed

    assert results(root, "slurm") == results(root, "local")
    weights = "nlq/scratch/2_train/train/model.safetensors"
    runs = root / "runs"
    assert (runs / "slurm" / weights).read_bytes() == (runs / "local" / weights).read_bytes()
    shown = subprocess.run(["scontrol", "show", "job", *job], capture_output=True, text=True)
    assert "Restarts=1" in shown.stdout
    check_parts(root, *TRAINING, "--name", "slurm")


def check_parts(root, *arguments):
    """Inference among four jobs, one of which is killed and queued again, equals the local one."""
    folder = root / "runs" / "slurm" / "nlq" / "scratch" / "3_infer"
    shutil.rmtree(folder)
    running = started(root, *arguments, "--shards", "4")
    while not (parts := [job for job in queued("nlq-scratch-3_infer", state="R") if "_" in job]):
        assert running.poll() is None, running.stdout.read()
        time.sleep(0.05)
    subprocess.run(["scontrol", "requeue", parts[0]], check=True)
    printed, _ = running.communicate(timeout=300)
    assert running.returncode == 0, printed
    assert "4 parts submitted" in printed
    told = "".join(file.read_text() for file in folder.glob("slurm/*.out"))
    assert {n for n in range(1, 5) if f"part {n} of 4 is computed" in told} == {1, 2, 3, 4}
    local = root / "runs" / "local" / "nlq" / "scratch" / "3_infer"
    for file in ("val.json", "test.json"):
        assert (folder / file).read_bytes() == (local / file).read_bytes()
