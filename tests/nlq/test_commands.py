"""The command line on the tiny preset: plain papermill, grids, and what a changed value repeats."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from egolib.io.records import read_json
from tests.helpers.tiny import CHECKOUT, egolib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("tiny")]
SHORT = ("-p", "epochs=2", "-p", "evaluate_every=0")


def metrics(root, name, step, point=""):
    return read_json(root / "runs" / name / "nlq" / f"scratch{point}" / step / "result.json")[
        "metrics"
    ]


def test_plain_papermill_gives_the_runners_metrics(tiny, tmp_path):
    root, _ = tiny
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(egolib(root, "params", "nlq/2_train", "--preset", "tiny").stdout)
    notebook = CHECKOUT / "notebooks" / "nlq" / "2_train.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(tmp_path / "out.ipynb")]
    command += ["-f", str(parameters), "-p", "out", str(tmp_path / "elsewhere")]
    environment = {**os.environ, "EGOLIB_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = read_json(tmp_path / "elsewhere" / "result.json")["metrics"]
    assert found == metrics(root, "tiny", "2_train")


def test_a_grid_is_one_table(tiny):
    root, _ = tiny
    done = egolib(
        root,
        "run",
        "nlq/2_train",
        "--preset",
        "tiny",
        "--name",
        "grid",
        *SHORT,
        "--grid",
        "seed=0,1",
    )
    assert done.returncode == 0, done.stderr
    *_, header, first, second, kept = done.stdout.splitlines()
    assert header.split() == ["seed", "step", "loss", "updates"]
    rows = [line.split() for line in (first, second)]
    assert [row[0] for row in rows] == ["0", "1"] and rows[0][2] != rows[1][2]
    assert Path(kept).is_file()


def test_a_changed_value_repeats_what_depends_on_it(tiny):
    root, _ = tiny
    done = egolib(root, "run", "nlq", "--preset", "tiny", "-p", "epochs=1", "--dry-run")
    assert done.returncode == 0, done.stderr
    steps = dict(
        line.split(": ", 1) for line in done.stdout.splitlines() if line and line[0] != " "
    )
    current = {name for name, state in steps.items() if state == "current"}
    assert current == {"0_world", "nlq/scratch/1_data", "nlq/pretrain/1_data"}
    assert "because: fit.epochs: 4 -> 1" in done.stdout
    assert "because: nlq/finetune/2_train ran again" in done.stdout


def test_an_unknown_parameter_has_a_nearest_name(tiny):
    root, _ = tiny
    done = egolib(root, "run", "nlq", "--preset", "tiny", "-p", "fit.epoch=1", "--dry-run")
    assert done.returncode != 0
    assert "fit.epoch" in done.stderr and "epochs" in done.stderr
