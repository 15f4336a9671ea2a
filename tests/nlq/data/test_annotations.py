"""Official JSON, JSON lines, checks, statistics."""

from __future__ import annotations

import json

import pytest

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import (
    Query,
    check_counts,
    check_queries,
    from_official,
    read_queries,
    statistics,
    to_official,
    write_queries,
)


def clip(uid, entries, start=100.0, end=580.5):
    annotation = {"annotation_uid": f"a-{uid}", "language_queries": entries}
    return {
        "clip_uid": uid,
        "video_start_sec": start,
        "video_end_sec": end,
        "annotations": [annotation],
    }


def entry(text, start=1.0, end=2.0):
    return {"query": text, "clip_start_sec": start, "clip_end_sec": end}


def content(*clips):
    return {"version": "2.0", "videos": [{"video_uid": "v", "clips": list(clips)}]}


def test_no_questions():
    assert from_official(content()) == []
    assert from_official(content(clip("c", []))) == []


def test_skipped_entries_count_in_the_ids():
    entries = [entry("one"), {}, {"query": None}, entry(""), entry("five ", 3, 700)]
    found = from_official(content(clip("c", entries)))
    assert [q.query_id for q in found] == ["a-c_0", "a-c_4"]
    assert found[1] == Query("five ", "a-c_4", 480.5, "c", ((3, 700),))
    assert (found[1].annotation_uid, found[1].index) == ("a-c", 4)


def test_without_answers():
    (found,) = from_official(content(clip("c", [{"query": "what"}])))
    assert found.windows_sec is None
    assert "timestamps" not in found.record()


def test_json_lines_there_and_back(tmp_path):
    queries = from_official(
        content(clip("c", [entry("café?"), entry("b")]), clip("d", [entry("x")]))
    )
    path = write_queries(tmp_path / "q.jsonl", queries)
    text = path.read_text()
    assert text.isascii() and not text.endswith("\n")
    assert list(json.loads(text.split("\n")[0])) == [
        "query",
        "query_id",
        "duration",
        "video_id",
        "query_type",
        "timestamps",
    ]
    assert read_queries(path) == queries
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert read_queries(path) == queries


def test_every_query_type_is_read(tmp_path):
    """The published data set refuses the type that its own converter writes."""
    queries = [
        Query("a", "u_0", 9.0, "c", ((1, 2),), kind)
        for kind in ("nlq", "narration", "nlq_narration")
    ]
    assert read_queries(write_queries(tmp_path / "q.jsonl", queries)) == queries
    assert "narration_query" in queries[2].record()


def test_official_layout_keeps_the_indices():
    queries = from_official(content(clip("c", [{}, entry("b"), {}, entry("d")])))
    made = to_official(queries, "val")
    (annotation,) = made["videos"][0]["clips"][0]["annotations"]
    assert [e.get("query") for e in annotation["language_queries"]] == [None, "b", None, "d"]
    assert from_official(made) == queries


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("{", "line 2"),
        ('{"query": "a"}', r"line 2.query_id"),
        (
            '{"query": "a", "query_id": "u_1", "duration": 1, "video_id": "c", "query_type": "x"}',
            "'x'",
        ),
        (
            '{"query": "a", "query_id": "u_1", "duration": 1, "video_id": "c", '
            '"query_type": "nlq", "timestamps": [[1]]}',
            "at least 2 items",
        ),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, match):
    path = write_queries(tmp_path / "q.jsonl", [Query("a", "u_0", 1.0, "c")])
    path.write_text(path.read_text() + "\n" + line)
    with pytest.raises(EgolibError, match=match):
        read_queries(path)


def test_a_clip_without_a_field_is_named():
    broken = clip("c7", [])
    del broken["video_end_sec"]
    with pytest.raises(EgolibError, match=r"c7.*video_end_sec"):
        from_official(content(broken), "nlq_val.json")


def test_checks():
    good = Query("a", "u_0", 10.0, "c", ((1, 2),))
    odd = [
        Query("a", "u_1", 10.0, "c", ((2, 2),)),
        Query("a", "u_2", 10.0, "c", ((11, 12),)),
        Query("a", "u_3", 10.0, "c", ((9, 12),)),  # ends late: allowed
    ]
    assert check_queries([good]) == []
    assert [w.split(":")[0] for w in check_queries([good, *odd])] == ["u_1", "u_2"]
    with pytest.raises(EgolibError, match="twice"):
        check_queries([good, good])


def test_statistics():
    queries = [
        Query("a b c", "u_0", 10.0, "c", ((1, 2),)),
        Query("a", "u_1", 10.0, "c", ((4, 12),)),
        Query("a", "w_0", 30.0, "d", ((0, 3),)),
    ]
    found = statistics(queries)
    assert (found.queries, found.clips, found.most_words) == (3, 2, 3)
    assert found.clip_sec == (10, 20, 30)
    assert found.window_sec == (1, 3, 4, 8)
    assert found.windows_past_end == 1
    assert statistics([Query("a", "u_0", 1.0, "c")]).window_sec is None
    with pytest.raises(EgolibError):
        statistics([])


def test_counts():
    few = [Query("a", "u_0", 1.0, "c")]
    with pytest.raises(EgolibError, match="13847"):
        check_counts(few, "train")
    assert "11296" in check_counts(few, "train", "v1")[0]
    assert "no published counts" in check_counts(few, "world")[0]


def test_facts_about_the_real_files(real_dir):
    found = statistics(read_queries(real_dir / "nlq" / "ego4d_nlq_train_v2.jsonl"))
    assert found.windows_past_end == 249
    assert found.window_sec == pytest.approx((0.13, 4.41, 11.29, 480), abs=0.01)
    val = read_queries(real_dir / "nlq" / "nlq_val.json")
    assert statistics(val).windows_past_end == 87
    assert check_queries(val) == []
