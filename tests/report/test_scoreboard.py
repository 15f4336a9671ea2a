"""Tables of the scoreboard: one unit, no holes, and where claims come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib import config
from egolib.report import chapters, evidence, scoreboard


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        ("vq2d", "val_test.tAP@0.25", 50.0),
        ("vq2d", "effect.tracking.recovery%", 0.5),
        ("vlp", "charades.mAP", 50.0),
        ("vlp", "epic.mAP_AVG", 0.5),
        ("nlq", "val.r1_at_0.3", 0.5),
    ],
)
def test_everything_is_in_percent(task, metric, expected):
    assert scoreboard.percent(task, metric, 0.5) == expected


@pytest.mark.parametrize("task", config.TASKS)
def test_a_task_has_three_to_five_main_metrics_in_percent(task):
    labels = scoreboard.main_metrics(task)
    assert 3 <= len(labels) <= 5
    assert all(label.endswith(", %") for label in labels.values())


def evaluated(runs: Path, variant: str, **metrics: float) -> None:
    folder = runs / "vlp" / variant / "4_evaluate"
    folder.mkdir(parents=True)
    content = {"task": "vlp", "variant": variant, "metrics": metrics, "wall_sec": 1}
    (folder / "result.json").write_text(json.dumps(content))


def test_a_variant_without_a_metric_has_a_dash(tmp_path):
    evaluated(
        tmp_path, "egoclip_pretrain_smallproj", **{"epic.mAP_AVG": 20.0, "reversal.ordered": 60}
    )
    evaluated(tmp_path, "epic_finetune_10", **{"epic.mAP_AVG": 30.0})
    text = scoreboard.task_table(tmp_path, "vlp").text
    assert "EgoVLPv2 pre-training" in text and "<td>30.0</td><td>–</td>" in text
    assert "EgoMCQ" not in text  # nobody has it
    assert "nan" not in text.lower()


@pytest.mark.parametrize("task", config.TASKS)
def test_claims_say_both_means_interval_and_origin(task):
    claims = scoreboard.claims_of(task)
    for claim in claims:
        assert claim["verdict"] in scoreboard.VERDICT_COLORS
        if claim["interval"]:
            low, high = claim["interval"]
            assert low <= claim["mean"] <= high
            assert claim["means"][0] - claim["means"][1] == pytest.approx(claim["mean"])
    told = scoreboard.recorded(task)
    cells = evidence.read_evidence(task)["cells"]
    assert all(cell["commit"] in told and cell["date"] for cell in cells)
    assert f"benchmarks.claims {task}" in told


def test_comparisons_are_counted(monkeypatch):
    """Every claim with an interval, and every further pair that was tried."""
    judged = {"interval": [0.0, 1.0], "tried": [{"interval": [0.0, 1.0]}, {"interval": None}]}
    monkeypatch.setattr(
        evidence, "current_claims", lambda task: [judged, {"interval": None, "tried": []}]
    )
    assert scoreboard.comparisons(["nlq"]) == 2


def test_settings_fill_the_drawing():
    assert chapters.filled("{a.b} wide, {c}", {"a.b": 1234, "c": [1, 2]}) == "1,234 wide, 1, 2"
