"""From files to numbers: oracle, failures, corner cases of annotations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.evaluation import evaluate_content, evaluate_files, report
from egolib.vq2d.formats.submission import build_submission
from egolib.vq2d.localization.tracks import Track
from tests.vq2d import made


def oracle(annotations) -> dict[str, Track]:
    return {
        query.key: Track.from_rows([[box.frame, *box.xyxy] for box in query.track])
        for query in annotations.queries
    }


def test_the_oracle_is_perfect() -> None:
    annotations = from_content(made.two_queries())
    scores = evaluate_content(annotations, build_submission(annotations, oracle(annotations)))
    table = scores.table()
    assert table["tAP"] == pytest.approx(1, abs=1e-6) and table["stAP"] == pytest.approx(1)
    assert table["recovery%"] == table["success%"] == 100
    assert "2 queries" in report(scores)[0]


def test_no_answers_give_zero() -> None:
    annotations = from_content(made.two_queries())
    table = evaluate_content(annotations, build_submission(annotations, {})).table()
    assert set(table.values()) == {0.0}


def test_the_test_file_cannot_be_evaluated() -> None:
    clip = made.clip("c", [made.annotation("a", made.query(5, None))])
    annotations = from_content(made.content(clip, split="test"))
    with pytest.raises(EgolibError, match="no response tracks"):
        evaluate_content(annotations, build_submission(annotations, {}))


def test_a_truth_with_a_gap_is_named() -> None:
    track = [made.box(3, 1, 1, 5, 5), made.box(5, 1, 1, 5, 5)]
    annotations = from_content(
        made.content(made.clip("c", [made.annotation("a", made.query(9, track))]))
    )
    with pytest.raises(EgolibError, match="record a_1: its frames are not contiguous"):
        evaluate_content(annotations, build_submission(annotations, {}))


def test_malformed_queries_are_listed_and_the_rest_is_evaluated(tmp_path: Path) -> None:
    content = made.two_queries()
    queries = content["videos"][0]["clips"][0]["annotations"][0]["query_sets"]
    queries["3"]["visual_crop"]["x"] = "12"
    (tmp_path / "vq_val.json").write_text(json.dumps(content))
    annotations = from_content(content)
    submission = build_submission(annotations, oracle(annotations))
    (tmp_path / "s.json").write_text(json.dumps(submission))
    found = evaluate_files(tmp_path / "vq_val.json", tmp_path / "s.json")
    assert found["metrics"]["tAP"] == 1.0
    assert list(found["skipped"]) == ["a_3"] and found["counts"]["queries"] == 1
