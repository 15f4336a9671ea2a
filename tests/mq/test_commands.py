"""The command line: evaluate, validate and convert know mq."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from egolib.cli import app
from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from tests.mq.project import content

RUNNER = CliRunner()


def test_evaluate(root, runs):
    truth = root / "ego4d" / "v2" / "annotations" / "moments_val.json"
    arguments = ["evaluate", "mq", "--truth", str(truth), "--predictions"]
    done = RUNNER.invoke(app, [*arguments, str(runs / "3_infer" / "val.json")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    expected = read_json(runs / "4_evaluate" / "result.json")["metrics"]["val"]
    assert found["average mAP"] == pytest.approx(expected["average_map"])
    assert found["Recall@1x IoU=0.5"] == pytest.approx(expected["recall_1x_at_0.5"])
    assert (found["clips"], found["moments"]) == (3, 9)
    for name, metric in (("detections", "average mAP"), ("retreival", "Recall@1x IoU=0.5")):
        file = runs / "3_infer" / "val" / f"{name}_postNMS.json"
        alone = json.loads(RUNNER.invoke(app, [*arguments, str(file)]).output)
        assert alone[metric] == found[metric]
        assert ("average mAP" in alone) == (name == "detections")
    converted = str(runs / "1_data" / "clip_annotations.json")
    chosen = ["evaluate", "mq", "--truth", converted, "-o", "subset=val", "--predictions"]
    again = RUNNER.invoke(app, [*chosen, str(runs / "3_infer" / "val.json")])
    assert json.loads(again.output)["average mAP"] == found["average mAP"]


def test_validate(root, runs, tmp_path):
    truth = root / "ego4d" / "v2" / "annotations" / "moments_test_unannotated.json"
    file = runs / "3_infer" / "test.json"
    done = RUNNER.invoke(app, ["validate", "mq", str(file), "--truth", str(truth)])
    assert done.exit_code == 0 and "all 2 clips answered" in done.output
    submission = read_json(file)
    submission["retrieve_results"]["test1"][3]["segment"] = [1.0]
    bad = write_json(tmp_path / "bad.json", submission)
    refused = RUNNER.invoke(app, ["validate", "mq", str(bad)])
    assert refused.exit_code != 0
    assert isinstance(refused.exception, EgolibError)
    assert "retrieve_results.test1[3]" in str(refused.exception)


def test_test_answers_of_unknown_truth_cannot_be_scored(runs, tmp_path):
    truth = write_json(tmp_path / "moments_test.json", content("test", labelled=False))
    options = ["--truth", str(truth), "--predictions", str(runs / "3_infer" / "test.json")]
    refused = RUNNER.invoke(app, ["evaluate", "mq", *options])
    assert "the annotations hold no moment" in str(refused.exception)


def test_convert_a_training(runs, tmp_path):
    source, target = runs / "2_train" / "train" / "best.safetensors", tmp_path / "best.pth"
    done = RUNNER.invoke(app, ["convert", str(source), str(target)])
    assert done.exit_code == 0, done.output
    assert target.is_file()
