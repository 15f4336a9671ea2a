"""Writing submissions, and finding what is wrong with one."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.formats.submission import (
    build_submission,
    read,
    validate,
    write,
)
from egolib.vq2d.localization.tracks import Track
from tests.vq2d import made

ANNOTATIONS = from_content(made.two_queries())
TRACK = Track.from_rows([[3, 1, 1, 5, 5], [4, 1, 1, 5, 5]], 0.7)


def entry(submission: dict, query_set: str) -> dict:
    clip = submission["results"]["videos"][0]["clips"][0]
    return clip["predictions"][0]["query_sets"][query_set]


def test_every_query_set_is_there() -> None:
    submission = build_submission(ANNOTATIONS, {"a_1": TRACK})
    assert entry(submission, "1")["score"] == 0.7
    assert entry(submission, "2") == entry(submission, "3") == {"bboxes": [], "score": 0.0}
    assert submission["version"] == "1.0.5"
    validate(submission, ANNOTATIONS)


def test_tracks_of_no_query_are_an_error() -> None:
    with pytest.raises(EgolibError, match="belong to no query"):
        build_submission(ANNOTATIONS, {"b_1": TRACK})
    with pytest.raises(EgolibError, match="belong to no query"):  # an invalid query set
        build_submission(ANNOTATIONS, {"a_2": TRACK})


def test_write_and_read(tmp_path: Path) -> None:
    path = write(tmp_path / "s.json", ANNOTATIONS, {"a_3": TRACK})
    assert entry(read(path), "3") == TRACK.to_json()


def broken(change) -> dict:
    submission = copy.deepcopy(build_submission(ANNOTATIONS, {"a_1": TRACK}))
    change(submission)
    return submission


def first_clip(submission: dict) -> dict:
    return submission["results"]["videos"][0]["clips"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(version="1.0"), "version"),
        (lambda s: s.update(challenge="other"), "challenge"),
        (lambda s: s.pop("results"), "results"),
        (lambda s: s["results"]["videos"].append({}), "2 videos"),
        (lambda s: first_clip(s).update(clip_uid="x"), "clip_uid"),
        (lambda s: first_clip(s)["predictions"].clear(), "0 predictions"),
        (lambda s: first_clip(s)["predictions"][0].update(annotation_uid="b"), "annotation a"),
        (lambda s: first_clip(s)["predictions"][0]["query_sets"].pop("3"), "valid query sets"),
        (lambda s: first_clip(s)["predictions"][0]["query_sets"].update({"9": {}}), "unknown"),
        (lambda s: entry(s, "1").pop("score"), "query a_1: field 'score'"),
        (lambda s: entry(s, "1").update(score=float("nan")), "score is nan"),
        (lambda s: entry(s, "1")["bboxes"][0].pop("x1"), "needs the fields"),
        (lambda s: entry(s, "1")["bboxes"][0].update(x1="3"), "no number"),
        (lambda s: entry(s, "1")["bboxes"][0].update(x1=True), "no number"),
        (lambda s: entry(s, "1")["bboxes"].append(3), "needs the fields"),
        (lambda s: entry(s, "1")["bboxes"][0].update(fno=9), "not contiguous"),
    ],
)
def test_the_first_wrong_record_is_named(change, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        validate(broken(change), ANNOTATIONS)


def test_not_an_object() -> None:
    with pytest.raises(EgolibError, match="expected an object"):
        validate([], ANNOTATIONS)


def test_null_clip_uids_are_allowed() -> None:
    content = made.content(made.clip(None, [made.annotation("a", made.query(5, made.track(1, 2)))]))
    annotations = from_content(content)
    submission = json.loads(json.dumps(build_submission(annotations, {})))
    validate(submission, annotations)
