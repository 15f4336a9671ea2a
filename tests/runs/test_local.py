"""Running a graph: order, skipping, reasons, failures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from egolib.errors import EgolibError
from egolib.runs import local
from egolib.runs.grid import table, write_table
from egolib.runs.inventory import steps
from egolib.runs.local import run_local
from egolib.runs.plan import Request, plan, plan_grid
from egolib.runs.stamps import reasons
from tests.runs.project import schema

REQUEST = Request("nlq", variant="scratch", preset="tiny")


def run(request=REQUEST, **options):
    said = []
    nodes = plan(request, schema)
    return run_local(nodes, say=said.append, **options), nodes, said


def metric(node):
    return json.loads((node.out / "result.json").read_text())["metrics"]["sum"]


def test_runs_in_order_then_skips_then_reruns_what_changed(project):
    outcome, nodes, _ = run(jobs=2)
    assert set(outcome.states.values()) == {"done"}
    assert metric(nodes[-1]) == 1 + (1 + (1 + 2)) + 100  # data, predictions, its own
    assert [row["state"][:8] for row in steps(project / "runs")] == ["finished"] * 4
    log = (nodes[-1].out / "log.txt").read_text().splitlines()
    assert "runs " in log[0] and log[-1].startswith("done in") and "sum" in log[-1]

    outcome, _, _ = run()
    assert set(outcome.states.values()) == {"current"}

    changed = Request("nlq", variant="scratch", preset="tiny", overrides=("epochs=5",))
    again = plan(changed, schema)
    assert reasons(again[0]) == []
    assert reasons(again[1]) == ["train.epochs: 2 -> 5"]
    assert reasons(again[2], ["nlq/scratch/2_train"]) == ["nlq/scratch/2_train ran again"]
    outcome, nodes, said = run(changed)
    assert list(outcome.states.values()) == ["current", "done", "done", "done"]
    assert any("train.epochs: 2 -> 5" in line for line in said)


def test_a_failure_keeps_the_notebook_and_blocks_what_follows(project):
    request = Request("nlq", variant="scratch", preset="tiny", overrides=("epochs=5000",))
    outcome, nodes, _ = run(request)
    assert list(outcome.states.values()) == ["done", "failed", "blocked", "blocked"]
    assert outcome.failed == [node.key for node in nodes[1:]]
    assert "a large number" in nodes[1].executed.read_text()
    assert not (nodes[1].out / "result.json").exists()
    assert "a large number" in (nodes[1].out / "log.txt").read_text()
    outcome, _, _ = run()  # mended
    assert list(outcome.states.values()) == ["current", "done", "done", "done"]


def test_a_grid_gives_one_table(project):
    points = plan_grid(REQUEST, {"seed": [0, 1], "threshold": [0.5]}, schema)
    outcome = run_local([n for p in points for n in p.nodes], jobs=2, say=lambda _: None)
    assert not outcome.failed
    found = table(points)
    assert list(found["seed"]) == [0, 1]
    assert found["sum"][1] - found["sum"][0] == pytest.approx(1.0)
    first, header, *rows, kept = write_table(points).splitlines()
    assert first.startswith("mean over 2 seeds threshold=0.5: sum ") and "± 0.71" in first
    assert header.split()[:3] == ["seed", "threshold", "step"] and len(rows) == 2
    assert Path(kept).is_file()


def test_a_place_that_cannot_be_written_points_at_runs_dir(project, tmp_path):
    (tmp_path / "file").touch()
    nodes = plan(replace(REQUEST, runs_dir=tmp_path / "file"), schema)
    with pytest.raises(EgolibError, match="cannot be written.*\n.*--runs-dir"):
        run_local(nodes, say=lambda _: None)


def test_a_changed_notebook_runs_again(project):
    run()
    file = project / "notebooks" / "nlq" / "4_evaluate.ipynb"
    file.write_text(file.read_text().replace("a large number", "below zero"))
    nodes = plan(REQUEST, schema)
    assert [reasons(node) for node in nodes] == [[], [], [], ["notebook changed"]]


def test_a_process_that_could_not_even_say_that_the_disk_is_full(project, monkeypatch):
    (node, *_) = plan(REQUEST, schema)
    node.out.mkdir(parents=True)
    (node.out / "error.txt").touch()
    assert "ended from outside" in local._error(node)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=100))
    assert "the disk is full, 100 bytes are free" in local._error(node)
