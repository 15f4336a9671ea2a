"""A run that is asked to stop: nothing stays alive, and the same command continues."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from egolib.runs.processes import end_trees

TRAINING = """
import pathlib, sys, json, time
sys.path.insert(0, {root!r})
from dataclasses import replace
from tests.engine import toy
from egolib.engine.fit import fit
class Slow(toy.Lines):
    def sample(self, index, rng):
        time.sleep({pause})
        return super().sample(index, rng)
def build():
    job = toy.build()
    job.data = Slow()
    return job
result = fit(build, replace(toy.SETTINGS, epochs=3), pathlib.Path(out) / "train", seed=3,
             fingerprint="toy", what="toy")
pathlib.Path(out, "result.json").write_text(json.dumps({{"metrics": {{"sum": result.updates}}}}))
"""


@pytest.fixture
def training(project: Path) -> Path:
    """The project with a training that takes a few seconds."""
    write_training(project, pause=0.02)
    return project


def write_training(project: Path, pause: float) -> None:
    """The notebook of a training that waits before each sample."""
    from tests.runs.project import notebook

    code = TRAINING.format(root=str(Path(__file__).parents[2]), pause=pause)
    path = project / "notebooks" / "nlq" / "2_train.ipynb"
    notebook(path, "variant = ''\npreset = ''\nout = ''\ninputs = {}\nseed = 0\ntrain = {}", code)


def start(project: Path, **options) -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "EGOLIB_ROOT": str(project), "PYTHONPATH": root}
    code = "from tests.runs.test_stopping import run; run()"
    return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=project, **options)


def run() -> None:
    """What the started process does: the variant up to its training."""
    from egolib.errors import EgolibError
    from egolib.runs.local import run_local
    from egolib.runs.plan import Request, plan
    from tests.runs.project import schema

    nodes = plan(Request("nlq", step="2_train", variant="scratch", preset="tiny"), schema)
    try:
        sys.exit(bool(run_local(nodes, jobs=1).failed))
    except EgolibError as error:
        print(error, flush=True)
        sys.exit(1)


def wait_for(file: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not (file.is_file() and file.stat().st_size):
        assert time.monotonic() < end, f"{file} did not appear"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_everything_with_a_snapshot(training, number):
    out = training / "runs" / "tiny" / "nlq" / "scratch" / "2_train"
    process = start(training, stdout=subprocess.PIPE, text=True)
    wait_for(out / "train" / "metrics.jsonl")
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    begin = time.monotonic()
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert process.returncode == 1 and "the same command continues" in said
    assert not [p for p in tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert list((out / "train").glob("snapshot-*.pt"))
    if number == signal.SIGTERM:
        require_the_same_weights_as_undisturbed(training, out)


def require_the_same_weights_as_undisturbed(training: Path, out: Path) -> None:
    assert start(training, stdout=subprocess.DEVNULL).wait(120) == 0
    stopped = (out / "train" / "model.safetensors").read_bytes()
    for file in [*out.rglob("*.safetensors"), *out.rglob("snapshot-*.pt"), out / "stamp.json"]:
        file.unlink()
    assert start(training, stdout=subprocess.DEVNULL).wait(120) == 0
    assert (out / "train" / "model.safetensors").read_bytes() == stopped


@pytest.mark.slow
def test_a_terminal_shows_a_bar_soon(training):
    """Within 5 s of a training's first update, and never 10 s without a sign of life."""
    mine, theirs = pty.openpty()
    process = start(training, stdout=theirs, stderr=theirs)
    os.close(theirs)
    out = training / "runs" / "tiny" / "nlq" / "scratch" / "2_train"
    shown, begin, first = b"", time.monotonic(), []
    started, gaps, last = 0.0, [], begin
    while shown.count(b" update") < 10 and time.monotonic() - begin < 200:
        shown += os.read(mine, 65536)
        gaps.append(time.monotonic() - last)
        last += gaps[-1]
        started = started or (last if (out / "train" / "metrics.jsonl").is_file() else 0.0)
        if b" update" in shown and not first:
            first.append(last - (started or last))
    end_trees([process.pid], grace_sec=1)
    os.close(mine)
    assert "2_train" in shown.decode(errors="replace") and shown.count(b" update") >= 10
    assert first[0] < 5 and max(gaps) < 10, (first, max(gaps))


@pytest.mark.slow
def test_two_runs_wait_for_each_other(training):
    write_training(training, pause=0.06)  # the second has started before the first ends
    first = start(training, stdout=subprocess.PIPE, text=True)
    out = training / "runs" / "tiny" / "nlq" / "scratch" / "2_train"
    wait_for(out / "train" / "metrics.jsonl")
    second = start(training, stdout=subprocess.PIPE, text=True)
    texts = [process.communicate(timeout=150)[0] for process in (first, second)]
    assert first.returncode == second.returncode == 0
    assert all("done in" in text for text in texts)
    assert not any(chr(27) in text for text in texts)  # no control characters in a pipe
    assert (out / "log.txt").read_text().count("waiting for another process") == 1
