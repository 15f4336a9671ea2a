"""``4_evaluate``: splits, corrections and the baseline, by the numbers of result.json."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.mq.formats import submission
from egolib.mq.steps import evaluate as steps
from egolib.mq.steps import figures
from egolib.viz import timeline_figure
from tests.mq.project import step


def perfect(clips):
    return {
        clip.clip_uid: [
            {"label": m.label, "score": 0.9, "segment": [m.start_sec, m.end_sec]}
            for m in clip.moments
        ]
        for clip in clips
    }


def test_result(runs):
    result = read_json(runs / "4_evaluate" / "result.json")
    metrics = result["metrics"]
    assert set(metrics) == {"val", "test", "val_test", "blind", "over_blind", "effect"}
    assert set(metrics["effect"]) == {"per_class", "rounding"}
    assert {"average_map", "map_at_0.5", "recall_1x_at_0.5"} <= set(metrics["val"])
    assert result["data"]["val_test"] == {"clips": 5, "moments": 15, "classes": 3}


def test_perfect_answers_beat_the_baseline(root, runs, tmp_path):
    made = step("4_evaluate", root, runs, predictions=tmp_path)
    truth = steps.read_truth(made)
    for split in ("val", "test"):
        answers = perfect(truth.splits[split])
        submission.write(tmp_path / f"{split}.json", answers, answers)
    scored = steps.score(made, truth, steps.read_predictions(made, truth))
    assert scored.main == "val_test"
    assert scored.splits["val_test"].summary()["average mAP"] == pytest.approx(100)
    assert scored.baseline.summary()["average mAP"] < 100
    assert list(steps.table(scored).index) == ["test", "val", "val_test", "blind, val_test"]
    assert (steps.class_table(scored) == 100).all().all()
    assert len(figures.average_precision(scored.splits["val"], scored.baseline).axes) == 2


def test_a_submission_by_itself(root, runs):
    made = step("4_evaluate", root, runs, predictions=runs / "3_infer" / "val.json")
    truth = steps.read_truth(made)
    predictions = steps.read_predictions(made, truth)
    scored = steps.score(made, truth, predictions)
    assert list(scored.splits) == ["val"] and scored.main == "val"
    shown = steps.examples(truth, predictions)
    assert len(shown.truth_labels) == 3
    assert timeline_figure(shown).axes


def test_nothing_to_score(root, runs, tmp_path):
    made = step("4_evaluate", root, runs, predictions=tmp_path)
    with pytest.raises(EgolibError, match="no submission of val"):
        steps.read_predictions(made, steps.read_truth(made))


def test_the_recorded_real_baseline():
    table = steps.recorded_real_baseline()
    assert table.loc[("mixed", "actionformer"), "average mAP"] > 0
