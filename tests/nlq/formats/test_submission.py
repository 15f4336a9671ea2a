"""The challenge's file: written as it must be, refused with the first wrong record named."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.truth import make_truth, truth_of
from egolib.nlq.formats.submission import (
    prediction,
    validate,
    validate_file,
)
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.formats.submission import write as write_submission

QUERIES = [Query("a", f"u_{i}", 100.0, "c") for i in range(3)]
SEGMENTS, SCORES = np.float32([[1, 2], [3, 4]]), np.float32([0.5, 0.25])


def submission():
    results = [prediction(query, SEGMENTS, SCORES) for query in QUERIES]
    return {"version": "1.0", "challenge": "ego4d_nlq_challenge", "results": results}


def test_record():
    assert prediction(QUERIES[1], SEGMENTS, SCORES) == {
        "query_idx": 1,
        "annotation_uid": "u",
        "predicted_times": [[1, 2, 0.5], [3, 4, 0.25]],
        "clip_uid": "c",
    }


def test_written_files_are_valid_and_hold_ten_windows(tmp_path):
    many = np.tile(np.float32([[1, 2]]), (30, 1)), np.ones(30, np.float32)
    path = write_submission(tmp_path / "p.json", [prediction(q, *many) for q in QUERIES])
    assert {len(r["predicted_times"]) for r in read_submission(path)} == {10}
    assert validate(read_json(path), truth_of(QUERIES)) == []
    assert validate_file(path) == "valid: 3 predictions, form checked"


def test_form_alone():
    assert validate(submission()) == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"query_idx": "1"}, "query_idx"),
        ({"query_idx": True}, "query_idx"),
        ({"query_idx": 3}, "not below 3"),
        ({"query_idx": -1}, "query_idx: wanted: greater than or equal to 0"),
        ({"query_idx": 0}, "answered before"),
        ({"clip_uid": "x"}, "not in the annotations"),
        ({"predicted_times": []}, "predicted_times: List should have at least 1 item"),
        ({"predicted_times": "1 2"}, "predicted_times: wanted: a valid list"),
        ({"predicted_times": [[1]]}, r"predicted_times\[0\]: List should have at least 2"),
        ({"predicted_times": [[1, "2"]]}, r"predicted_times\[0\]\[1\]: wanted: a valid number"),
        ({"predicted_times": [[1, float("nan")]]}, "a finite number"),
    ],
)
def test_the_first_wrong_record_is_named(change, match):
    content = submission()
    content["results"][1] |= change
    with pytest.raises(EgolibError, match=match) as caught:
        validate(content, truth_of(QUERIES), file="p.json")
    assert str(caught.value.record).startswith(("1 ", "results[1]."))


@pytest.mark.parametrize("name", ["clip_uid", "annotation_uid", "query_idx", "predicted_times"])
def test_missing_fields(name):
    content = submission()
    del content["results"][2][name]
    with pytest.raises(EgolibError, match=rf"record results\[2\]\.{name}: the field is missing"):
        validate(content)


@pytest.mark.parametrize(
    "content",
    [[], {}, {**submission(), "version": "2.0"}, {**submission(), "results": {}}],
)
def test_wrong_files(content):
    with pytest.raises(EgolibError):
        validate(content)


def test_records_that_are_no_objects():
    content = submission()
    content["results"][0] = [1, 2]
    with pytest.raises(EgolibError, match=r"record results\[0\]: wanted: a valid dictionary"):
        validate(content)


def test_unanswered_questions():
    content = submission()
    content["results"].pop(1)
    with pytest.raises(EgolibError, match="u_1"):
        validate(content, truth_of(QUERIES))


def test_what_nobody_can_want_is_a_warning():
    content = submission()
    content["results"][0]["predicted_times"] = [[5, 4]] + [[1, 2]] * 11
    warnings = validate(content, truth_of(QUERIES))
    assert len(warnings) == 2 and all("u_0" in w for w in warnings)


def test_complete_real_annotations(real_dir, tmp_path):
    """A prediction for every real question is accepted; a broken one is not."""
    for name in ("nlq_val.json", "nlq_test_unannotated.json"):
        content = read_json(real_dir / "nlq" / name)
        truth, annotations = make_truth(content), real_dir / "nlq" / name
        results = [
            {"clip_uid": c, "annotation_uid": a, "query_idx": i, "predicted_times": [[0.0, 1.0]]}
            for (c, a), (first, count) in truth.rows.items()
            for i in range(count)
            if truth.asked[first + i]
        ]
        path = write_submission(tmp_path / name, results)
        assert validate_file(path, annotations).startswith(f"valid: {truth.questions} pred")
        broken = copy.deepcopy(read_json(path))
        broken["results"][17]["query_idx"] = 99
        with pytest.raises(EgolibError, match="record 17"):
            validate_file(write_json(path, broken), annotations)
