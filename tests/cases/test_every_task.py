"""``validate`` and ``evaluate`` of every task: the good file passes both, the bad one neither."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.cli.app import task_module
from egolib.errors import EgolibError
from tests.fuzz import samples


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def scores(value: float) -> bytes:
    stream = io.BytesIO()
    dual = samples.rows(3, 5).astype(np.float64)
    dual[1, 2] = value
    np.savez(stream, dual=dual)
    return stream.getvalue()


def boxes(score: float) -> bytes:
    stream = io.BytesIO()
    arrays = samples.detection_arrays()
    arrays["score"][2] = score
    np.savez(stream, **arrays)
    return stream.getvalue()


def nlq(window: list[float]) -> bytes:
    content = samples.nlq_submission()
    content["results"][2]["predicted_times"][0] = window
    return dumped(content)


def vq(x2: float) -> bytes:
    content = samples.vq_submission()
    prediction = content["results"]["videos"][1]["clips"][0]["predictions"][0]
    prediction["query_sets"]["1"]["bboxes"][0]["x2"] = x2
    return dumped(content)


def mq(score: Any) -> bytes:
    content = samples.moment_submission()
    content["retrieve_results"]["4f2c-b"][0]["score"] = score
    return dumped(content)


Make = Callable[[Any], bytes]
#: Task, truth and its name, predictions' name, how they are made, a good value and a bad one.
CASES: list[tuple[str, str, Any, str, Make, Any, Any]] = [
    ("vq2d", "vq_val.json", samples.vq(), "p.json", vq, 40.5, float("nan")),
    ("vod", "vid.json", samples.cocovid(), "p.npz", boxes, 0.5, float("nan")),
    ("vlp", "egomcq.json", samples.egomcq(), "p.npz", scores, 0.5, float("nan")),
    ("nlq", "nlq_val.json", samples.nlq(), "p.json", nlq, [1.0, 2.0, 0.5], [1.0, float("inf")]),
    ("mq", "moments_val.json", samples.moments(), "p.json", mq, 0.25, "high"),
]


@pytest.mark.parametrize(
    ("task", "name", "truth", "file", "make", "good", "bad"), CASES, ids=[c[0] for c in CASES]
)
def test_validate_and_evaluate_agree(
    tmp_path: Path, task: str, name: str, truth: Any, file: str, make: Make, good: Any, bad: Any
) -> None:
    known, predictions = tmp_path / name, tmp_path / file
    known.write_bytes(dumped(truth))
    validate = task_module(task, "formats.submission").validate_file
    evaluate = task_module(task, "evaluation").evaluate_files
    predictions.write_bytes(make(good))
    assert validate(predictions, known) and validate(predictions)
    assert evaluate(known, predictions)
    predictions.write_bytes(make(bad))
    for judge in (lambda: validate(predictions, known), lambda: evaluate(known, predictions)):
        with pytest.raises(EgolibError) as error:
            judge()
        assert error.value.file == predictions and error.value.record is not None


def test_json_lines_are_taken(tmp_path: Path) -> None:
    lines = samples.nlq_submission()["results"]
    predictions, truth = tmp_path / "p.jsonl", tmp_path / "nlq_val.json"
    predictions.write_text("\n".join(map(json.dumps, lines)))
    truth.write_bytes(dumped(samples.nlq()))
    assert task_module("nlq", "formats.submission").validate_file(predictions, truth)
    assert task_module("nlq", "evaluation").evaluate_files(truth, predictions)
