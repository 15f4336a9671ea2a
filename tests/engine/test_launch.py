"""Several processes: started from here, equal to one process on the same global batch."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from egolib.engine import FitConfig, distributed
from egolib.engine.job import Job
from egolib.engine.launch import train
from egolib.io import checkpoint
from egolib.runs.step import Step
from tests.engine.toy import Lines

SETTINGS = FitConfig(epochs=1, batch_size=4, clip_norm=1.0, log_every=2, device="cpu")


@dataclass(frozen=True)
class Config:
    seed: int = 1
    fit: FitConfig = field(default_factory=lambda: SETTINGS)


def build(step) -> Job:
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    return Job(
        model=model,
        loss=lambda model, batch: {"loss": (model(batch[0])[:, 0] - batch[1]).square().mean()},
        data=Lines(),
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        schedule=lambda update: 1.0,
    )


def step(out: Path, settings: FitConfig) -> Step:
    config = Config(fit=settings)
    return Step("nlq", "2_train", "toy", "tiny", config, ("seed", "fit"), out, out, {})


def fail(rank_to_fail: int) -> int:
    import os

    if int(os.environ["RANK"]) == rank_to_fail:
        raise ValueError("one process failed")
    return int(os.environ["RANK"])


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    one = train(step(tmp_path / "one", SETTINGS), build)
    halves = replace(SETTINGS, processes=2)
    before = signal.getsignal(signal.SIGTERM)
    two = train(step(tmp_path / "two", halves), build)
    assert signal.getsignal(signal.SIGTERM) == before
    assert one.updates == two.updates == 10
    first, second = (checkpoint.load(r.weights)[0] for r in (one, two))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-6, atol=1e-7)
    losses = [[r["loss"] for r in x.losses()] for x in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.slow
def test_an_error_in_a_process_surfaces():
    with pytest.raises(Exception, match="one process failed"):
        distributed.launch("tests.engine.test_launch:fail", 1, processes=2)


@pytest.mark.slow
def test_a_second_node_joins(tmp_path):
    """Two 'nodes' of one process each, on this machine; rank 0 is where launch was called."""
    import subprocess
    import sys

    code = f"from egolib.engine.distributed import join; join({str(tmp_path)!r}, poll_sec=0.1)"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        value = distributed.launch(
            "tests.engine.test_launch:fail", -1, processes=1, nodes=2, folder=tmp_path
        )
        assert other.wait(timeout=60) == 0
    assert value == 0


def interrupted(step) -> Job:
    """The job, whose first process dies in the middle of its first attempt."""
    import os

    job = build(step)
    schedule, died = job.schedule, step.out / "died"

    def die(update: int) -> float:
        if update == 6 and not died.exists() and os.environ.get("RANK", "0") == "0":
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return schedule(update)

    job.schedule = die
    return job


@pytest.mark.slow
def test_a_killed_worker_comes_back_from_the_last_snapshot(tmp_path):
    settings = replace(SETTINGS, processes=2, snapshot_updates=3, max_restarts=1)
    whole = train(step(tmp_path / "whole", settings), build)
    (tmp_path / "killed").mkdir()
    killed = train(step(tmp_path / "killed", settings), interrupted)
    assert (tmp_path / "killed" / "died").exists()
    assert killed.weights.read_bytes() == whole.weights.read_bytes()


def stopping(step) -> Job:
    job = build(step)
    schedule = job.schedule

    def stop(update: int) -> float:
        if update == 7:
            raise RuntimeError("the machine went away")
        return schedule(update)

    job.schedule = stop
    return job


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_snapshot_is_continued_by_another_number_of_processes(tmp_path, before, after):
    """The same samples in the same order: without random numbers the weights agree."""
    whole = train(step(tmp_path / "whole", SETTINGS), build)
    settings = replace(SETTINGS, snapshot_updates=3, max_restarts=0)
    with pytest.raises(Exception, match="the machine went away|failed"):
        train(step(tmp_path / "part", replace(settings, processes=before)), stopping)
    result = train(step(tmp_path / "part", replace(settings, processes=after)), build)
    assert result.updates == 10
    expected, found = (checkpoint.load(r.weights)[0] for r in (whole, result))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
