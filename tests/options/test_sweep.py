"""No option is untried: the lists of results are whole and nothing in them is broken; a tenth of
the alternatives, another one each day, is tried anew."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from egolib.config import TASKS, project_root
from tests.options.running import RESULTS, read_results


@pytest.mark.parametrize("task", TASKS)
def test_the_list_of_results(task: str) -> None:
    alternatives = {str(a) for a in import_module(f"tests.options.{task}").alternatives()}
    results = read_results(RESULTS / f"{task}.json")
    untried = sorted(alternatives - results.keys())
    assert not untried, f"python -m tests.options {task}"
    broken = {k: v for k, v in results.items() if v.startswith("broken") and k in alternatives}
    assert not broken


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_tenth_of_the_sweep(task: str, tmp_path: Path) -> None:
    today = datetime.date.today().toordinal() % 10 + 1
    part = os.environ.get("EGOLIB_OPTIONS_PART", f"{today}/10")
    command = [sys.executable, "-W", "ignore", "-m", "tests.options", task, "--part", part]
    done = subprocess.run(
        [*command, "--results", str(tmp_path / "results.json")],
        cwd=project_root(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert ", 0 broken, 0 untried" in done.stdout
