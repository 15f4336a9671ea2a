"""Scores of prediction records."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.nlq.data.annotations import Query, to_official, write_queries
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate, evaluate_files, recall_curves
from egolib.nlq.formats.submission import write as write_submission

QUERIES = [
    Query("a", "u_0", 100.0, "c", ((10, 20),)),
    Query("b", "u_2", 100.0, "c", ((30, 40),)),
    Query("c", "w_0", 100.0, "d", ((50, 60),)),
]


def record(query, *windows):
    return {
        "clip_uid": query.clip_uid,
        "annotation_uid": query.annotation_uid,
        "query_idx": query.index,
        "predicted_times": [list(w) for w in windows],
    }


RIGHT = [record(q, *q.windows_sec) for q in QUERIES]


def test_everything_right():
    found = evaluate(RIGHT, truth_of(QUERIES))
    assert set(found.printed().values()) == {100}
    assert (found.evaluated, found.questions, found.missing, found.duplicates) == (3, 3, 0, 0)


def test_recall_by_the_overlap_that_is_demanded():
    """Windows of overlap 1, 0.5 and none: the curve of the first answers falls in two steps."""
    half = [record(QUERIES[0], (10, 20)), record(QUERIES[1], (30, 35)), record(QUERIES[2], (0, 5))]
    curves = recall_curves(half, truth_of(QUERIES))
    overlap, found = curves["R@1"]
    assert found[overlap < 0.5].tolist() == pytest.approx([200 / 3] * 10)
    assert found[overlap >= 0.5].tolist() == pytest.approx([100 / 3] * 10)
    assert (curves["R@5"][1] == found).all()


def test_nothing_submitted():
    found = evaluate([], truth_of(QUERIES))
    assert found.coverage == 0 and found.missing == 3
    assert found.printed()["R@1 IoU=0.3"] == 0


def test_missing_questions_cost_nothing_unless_strict():
    official = evaluate(RIGHT[:1], truth_of(QUERIES))
    assert official.printed()["R@1 IoU=0.5"] == 100
    assert official.printed()["coverage"] == pytest.approx(100 / 3)
    strict = evaluate(RIGHT[:1], truth_of(QUERIES), missing="strict")
    assert strict.printed()["R@1 IoU=0.5"] == pytest.approx(100 / 3)


def test_duplicates_count_twice_unless_strict():
    wrong = record(QUERIES[0], (90, 95))
    found = evaluate([*RIGHT, wrong, wrong], truth_of(QUERIES))
    assert found.printed()["R@1 IoU=0.5"] == 60
    assert found.duplicates == 2
    with pytest.raises(EgolibError, match="two predictions"):
        evaluate([*RIGHT, wrong], truth_of(QUERIES), missing="strict")


@pytest.mark.parametrize("change", [{"clip_uid": "x"}, {"query_idx": 3}, {"query_idx": -1}])
def test_unknown_questions_are_named(change):
    with pytest.raises(EgolibError, match="record 1"):
        evaluate([RIGHT[0], {**RIGHT[1], **change}], truth_of(QUERIES))


def test_files(tmp_path):
    predictions = write_submission(tmp_path / "p.json", RIGHT)
    lines = write_queries(tmp_path / "q.jsonl", QUERIES)
    official = write_json(tmp_path / "q.json", to_official(QUERIES, "val"))
    for truth in (lines, official):
        found = evaluate_files(truth, predictions, thresholds=(0.5,), top_k=(5,))
        assert found["metrics"]["R@5 IoU=0.5"] == 100
        assert found["counts"]["evaluated"] == 3
