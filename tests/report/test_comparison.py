"""Runs beside runs, and beside what was published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from egolib.errors import EgolibError
from egolib.report import comparison
from tests.runs.project import make_project, schema


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EGOLIB_ROOT", str(tmp_path))
    make_project(tmp_path)
    published = "about: {source: a paper, published: {r1: 16.0, other: 3, twice: 1}}\n"
    (tmp_path / "params" / "nlq" / "scratch.yaml").write_text(published)
    (tmp_path / "params" / "presets" / "paper.yaml").write_text("{}")
    return tmp_path


def finished(project: Path, name: str, metrics: dict[str, Any], **about: Any) -> Path:
    file = project / "runs" / name / "4_evaluate" / "result.json"
    file.parent.mkdir(parents=True)
    known = {"task": "nlq", "variant": "scratch", "preset": "tiny"}
    config = {"seed": 0, "world_seed": 0, "data": {"size": 1}, "train": {"epochs": 2}}
    config["evaluate"] = {"threshold": 100.0}
    file.write_text(json.dumps({**known, "metrics": metrics, "config": config, **about}))
    return file


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0.1 + 0.2, 0.3, 0.0), (1.0, 0.5, 0.5), (0.0, 0.0, 0.0)]
)
def test_rounding_is_no_difference(first, second, expected):
    row = comparison.Row("a", first, second)
    assert row.difference == expected
    assert (
        comparison.as_text(comparison.Comparison(("a", "b"), [row], {}))
        .splitlines()[4]
        .endswith(f" {expected:+.4g}" if expected else " 0")
    )


def test_two_runs(project):
    first = finished(project, "a/nlq/scratch", {"val": {"r1": 5.0}, "only": 1, "none": None})
    second = finished(project, "b/nlq/scratch", {"val": {"r1": 3.5}}, config={"seed": 1})
    found = comparison.compare_runs(first, second)
    assert [(r.name, r.difference) for r in found.metrics] == [("val.r1", 1.5), ("only", None)]
    assert found.settings["seed"] == (0, 1)
    assert found.settings["train.epochs"] == (2, None)
    assert "variant" not in found.settings
    text = comparison.as_text(found)
    assert "+1.5" in text and "seed: 0 | 1" in text
    assert json.dumps(found.to_json())


def test_published_numbers(project):
    run = finished(project, "a/nlq/scratch", {"val": {"r1": 12.0}, "x": {"twice": 1, "other": 2}})
    found = comparison.compare_published(run, schema)
    assert [(r.name, r.first, r.second) for r in found.metrics] == [
        ("r1", 12.0, 16.0),
        ("other", 2.0, 3.0),
        ("twice", 1.0, 1.0),
    ]
    assert found.settings == {"train.epochs": (2, 10)}
    assert "a paper" in found.sides[1]


def test_percentages_beside_fractions(project):
    chain = project / "params" / "nlq" / "chain.yaml"
    chain.write_text(chain.read_text() + "\npublished_unit: percent\n")
    run = finished(project, "a/nlq/scratch", {"r1": 0.12, "x": {"twice": 1}, "y": {"twice": 2}})
    rows = {row.name: row for row in comparison.compare_published(run, schema).metrics}
    assert rows["r1"].first == pytest.approx(12) and rows["r1"].difference == pytest.approx(-4)
    assert rows["twice"].first is None and rows["other"].difference is None


def test_nothing_published(project):
    run = finished(project, "a/nlq/finetune", {}, variant="finetune")
    with pytest.raises(EgolibError, match="nothing was published") as caught:
        comparison.compare_published(run, schema)
    assert "scratch" in str(caught.value)


def test_runs_are_found_by_name_and_by_folder(project):
    run = finished(project, "a/nlq/scratch", {})
    runs = project / "runs"
    assert comparison.find_result("a/nlq/scratch", runs) == run
    assert comparison.find_result(run.parent, runs) == run
    assert comparison.find_result(run.parents[1], project) == run
    with pytest.raises(EgolibError, match="did you mean a/nlq/scratch"):
        comparison.find_result("a/nlq/scratc", runs)
