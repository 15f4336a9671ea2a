"""What ``egolib status`` says of steps in any state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.errors import UsageError
from egolib.runs.inventory import as_text, steps

NOTEBOOK = {"metadata": {"papermill": {"exception": True}}}


def step(runs: Path, name: str, **files: object) -> None:
    folder = runs / "tiny" / "nlq" / "scratch" / name
    folder.mkdir(parents=True)
    (folder / "node.json").write_text("{}")
    for file, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / file.replace("_", ".", 1)).write_text(text)


def test_a_broken_step_stops_nothing(tmp_path):
    result = {"metrics": {"loss": 0.5, "of": {"val": 1}}, "wall_sec": 12.4}
    step(tmp_path, "1_data", result_json=result, stamp_json="{}")
    step(tmp_path, "2_train", train_ipynb='{"metadata": {"pap')
    step(tmp_path, "3_infer", infer_ipynb=NOTEBOOK)
    step(tmp_path, "4_evaluate", result_json="", stamp_json="")
    step(tmp_path, "5_more", result_json={}, more_ipynb=[])
    rows = steps(tmp_path, "tiny")
    states = [row["state"].split()[0] for row in rows]
    assert states == ["finished", "unreadable", "failed", "unreadable", "unreadable"]
    first = as_text(rows).splitlines()[0]
    assert "in 12 s" in first and "loss 0.5, of.val 1" in first


def test_a_run_that_is_not_there(tmp_path):
    (tmp_path / "tiny").mkdir()
    assert steps(tmp_path) == [] and "egolib run nlq" in as_text([])
    with pytest.raises(UsageError, match="did you mean tiny"):
        steps(tmp_path, "tinny")
