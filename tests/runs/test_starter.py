"""Steps that start as forks of one warm process: the same results, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from egolib.runs import starter
from egolib.runs.local import run_local
from egolib.runs.plan import Request, plan
from tests.runs.project import notebook, schema

REQUEST = Request("nlq", variant="scratch", preset="tiny")

ABOUT = """
import json, os, pathlib, sys
about = {
    "papermill": "papermill" in sys.modules,
    "egolib": sorted(name for name in sys.modules if name.split(".")[0] == "egolib"),
    "group": os.getpgid(0) == os.getpid(),
    "command": pathlib.Path("/proc/self/cmdline").read_text().split("\\0")[1:4],
    "backend": os.environ["MPLBACKEND"],
}
import matplotlib
about["same backend"] = matplotlib.get_backend() == about["backend"]
print("a word for the notebook")
os.write(2, b"a word for the log")
pathlib.Path(out, "result.json").write_text(json.dumps({"metrics": {"sum": 1}, "about": about}))
"""


@pytest.fixture
def warm(monkeypatch):
    """Every run imports libraries first; two stand for all of them."""
    monkeypatch.setattr(starter, "LIBRARIES", ("papermill", "matplotlib.figure"))
    monkeypatch.setattr(starter, "WARM_FROM", 1)
    monkeypatch.setattr(starter, "has_gpu", lambda: False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def data_step(project: Path, code: str):
    path = project / "notebooks" / "nlq" / "1_data.ipynb"
    notebook(path, "variant = ''\npreset = ''\nout = ''\ninputs = {}\ndata = {}", code)
    (node,) = plan(Request("nlq", step="1_data", variant="scratch", preset="tiny"), schema)
    return node


def test_a_warm_step_is_a_fork_that_shares_libraries_and_no_code_of_ours(project, warm):
    node = data_step(project, ABOUT)
    assert not run_local([node], say=lambda _: None).failed
    about = json.loads((node.out / "result.json").read_text())["about"]
    assert about["command"] == ["-m", "egolib.runs.server", "papermill"]
    assert about["papermill"] and about["group"] and about["same backend"]
    own = set(about["egolib"]) - {"egolib", "egolib.runs"}
    assert own == {"egolib.runs.forks", "egolib.runs.kernel"}
    assert "a word for the notebook" in node.executed.read_text()
    assert "a word for the log" in (node.out / "log.txt").read_text()


def test_a_few_steps_start_afresh(project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    node = data_step(project, ABOUT)
    assert not run_local([node], say=lambda _: None).failed
    about = json.loads((node.out / "result.json").read_text())["about"]
    assert about["command"][1] == "ipykernel_launcher" and not about["papermill"]


@pytest.mark.parametrize(("threads", "gpu", "may"), [("1", False, True), ("4", False, False),
                                                     ("1", True, False)])  # fmt: skip
def test_neither_a_gpu_nor_threads_are_forked(threads, gpu, may, monkeypatch):
    monkeypatch.setattr(starter, "has_gpu", lambda: gpu)
    assert starter.can_fork_warm({"OMP_NUM_THREADS": threads}) is may


@pytest.mark.parametrize(
    ("code", "told"),
    [("1/0", "ZeroDivisionError"), ("import os; os._exit(7)", "the kernel died")],
)
def test_what_fails_in_a_warm_step_is_told(project, warm, code, told):
    node = data_step(project, code)
    said = []
    assert run_local([node], say=said.append).failed == [node.label]
    assert told in "\n".join(said)


def test_a_server_that_is_killed_takes_its_steps_along(project, warm):
    """The run says so, nothing stays alive, and the next steps get a new server."""
    node = data_step(project, "import time; time.sleep(60)")
    found = starter.Starter(9)
    node.out.mkdir(parents=True)
    found.start(node)
    wait_until(lambda: found._reports() == [] and found._pids)
    (pid,) = found._pids.values()
    wait_until(lambda: psutil.Process(pid).children())
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert found._server is not None
    os.kill(found._server.pid, signal.SIGKILL)
    found._server.wait()
    assert found.ended() == [(node, starter.LOST)]
    psutil.wait_procs(tree, timeout=10)
    assert not [p for p in tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert found._server is None and found.ended() == []


def wait_until(holds, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("work", "code"),
    [
        ("lambda: 4", 4),
        ("lambda: sys.exit(5)", 5),
        ("lambda: sys.exit('no')", 1),
        ("lambda: 1 / 0", 1),
    ],
)
def test_a_fork_ends_with_its_code_and_its_last_words(work, code):
    text = f"""import atexit, sys
from egolib.runs.forks import leave
atexit.register(print, "last words")
leave({work})"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "last words\n")


def test_the_libraries_that_are_imported_exist():
    assert all(find_spec(name.partition(".")[0]) for name in starter.LIBRARIES)
