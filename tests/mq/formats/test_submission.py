"""Result files and submissions: written as they must be, refused with the record named."""

from __future__ import annotations

import copy

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.mq.formats.submission import (
    file_name,
    merge_submission,
    read,
    read_results,
    validate,
    validate_file,
    write,
    write_results,
)
from tests.mq.small import CLIPS, LABELS

RECORD = {"label": "open", "score": 0.5, "segment": [1.0, 2.0]}
RESULTS = {clip.clip_uid: [RECORD, dict(RECORD)] for clip in CLIPS}


def test_official_names():
    assert file_name("detection") == "detections_postNMS.json"
    assert file_name("retrieval") == "retreival_postNMS.json"
    assert file_name("retrieval", "ego4d") == "retrieval_postNMS.json"


def test_files_round_trip(tmp_path):
    assert read_results(write_results(tmp_path / "d.json", RESULTS)) == RESULTS
    path = write(tmp_path / "s.json", RESULTS, RESULTS)
    assert read(path) == (RESULTS, RESULTS)
    text = validate_file(path, clips=CLIPS, classes=LABELS)
    assert text == "valid: 6 detections, 6 retrievals, all 3 clips answered"
    assert validate_file(path) == "valid: 6 detections, 6 retrievals, form checked"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, r"\[1\]\.label: wanted: a valid string, found 3"),
        ({"label": "sing"}, r"s\.json, record retrieve_results\.c1\[1\]\.label: unknown class"),
        ({"score": None}, r"record retrieve_results\.c1\[1\]\.score: wanted: a valid number"),
        ({"score": float("nan")}, "score: a finite number is wanted"),
        ({"score": True}, "score: wanted: a valid number, found True"),
        ({"segment": [1]}, "segment: List should have at least 2 items"),
        ({"segment": [1, "2"]}, r"segment\[1\]: wanted: a valid number, found '2'"),
        ({"segment": [1, float("inf")]}, r"segment\[1\]: a finite number is wanted"),
    ],
)
def test_wrong_records_are_named(change, message):
    content = submission()
    content["retrieve_results"]["c1"][1] |= change
    with pytest.raises(EgolibError, match=message):
        validate(content, CLIPS, LABELS, file="s.json")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), "2", "version is '2', it must be '1.0'"),
        (("challenge",), "nlq", "challenge is 'nlq'"),
        (("detect_results",), [], "'detect_results' is missing or no object"),
        (("detect_results", "c0"), {}, r"record detect_results\.c0: wanted: a valid list"),
        (("detect_results", "c0", 0), 3, r"c0\[0\]: wanted: a valid dictionary"),
        (("detect_results", "c0", 0), {"label": "open"}, r"c0\[0\]\.score: the field is missing"),
        (("detect_results", "c9"), [], r"record detect_results\.c9: this clip is not in"),
    ],
)
def test_wrong_forms_are_named(path, value, message):
    content = submission()
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(EgolibError, match=message):
        validate(content, CLIPS)


def test_every_clip_needs_an_entry():
    content = submission()
    del content["retrieve_results"]["c2"]
    with pytest.raises(
        EgolibError, match="record retrieve_results: 1 clips have no entry, first c2"
    ):
        validate(content, CLIPS)
    assert validate(content) == []
    with pytest.raises(EgolibError, match="no JSON object"):
        validate([])


def test_oddities_are_warned_about():
    content = submission()
    content["detect_results"]["c0"] = [
        {"label": "open", "score": -1, "segment": [5, 4]},
        *[{"label": "open", "score": 1, "segment": [29, 30.2]}] * 200,
    ]
    assert validate(content, CLIPS) == [
        "detect_results.c0: 1 moments end before they start",
        "detect_results.c0: 1 scores are negative",
        "detect_results.c0: 201 answers; the official code writes at most 200",
        "detect_results.c0: 200 moments reach outside the clip (30.0 s)",
    ]


def test_result_files_are_checked(tmp_path):
    path = write_json(tmp_path / "d.json", {"results": {"c": [{**RECORD, "segment": 3}]}})
    with pytest.raises(EgolibError, match=r"d\.json, record results\.c\[0\]\.segment: wanted"):
        read_results(path)


def submission():
    return merge_submission(copy.deepcopy(RESULTS), copy.deepcopy(RESULTS))
