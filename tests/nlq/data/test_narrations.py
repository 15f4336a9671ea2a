"""Narrations as questions."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.nlq.data.narrations import (
    COLUMNS,
    merge_naq,
    naq_annotations,
    narration_queries,
    read_egoclip,
)

ROWS = [
    # video, source, number, time, start, end, text
    ("v", "narration_pass_1", 0, 5, 4, 6, "C opens the door"),
    ("v", "narration_pass_2", 7, 12, 10, 14, "C walks"),  # starts with the second clip
    ("v", "narration_pass_1", 1, 15, 11, 20, "C sits"),
    ("v", "narration_pass_1", 2, 30, 29, 31, "C leaves"),
    ("w", "narration_pass_1", 0, 5, 4, 6, "C sleeps"),
]


def write_table(tmp_path, rows=ROWS):
    lines = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in rows)]
    path = tmp_path / "egoclip.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def video(uid, *clips):
    return {
        "video_uid": uid,
        "clips": [
            {
                "clip_uid": clip_uid,
                "video_start_sec": start,
                "video_end_sec": end,
                "annotations": [{"annotation_uid": f"{clip_uid}-nlq", "language_queries": []}],
            }
            for clip_uid, start, end in clips
        ],
    }


NLQ = {"videos": [video("v", ("a", 0.0, 10.0)), video("unknown", ("u", 0.0, 10.0))]}
MOMENTS = {"videos": [video("v", ("b", 10.0, 20.0), ("a", 0.0, 99.0))]}
VQ = {"videos": [video("w", ("c", 1.0, 10.0))]}


def test_groundnlq_takes_what_lies_strictly_inside(tmp_path):
    found = narration_queries(read_egoclip(write_table(tmp_path)), [NLQ, MOMENTS, VQ])
    assert [(q.clip_uid, q.text) for q in found] == [("a", "C opens the door"), ("c", "C sleeps")]
    assert found[1].query_id == "c_narrator-1_0"
    assert found[1].windows_sec == ((3, 5),)
    assert (found[1].duration_sec, found[1].query_type) == (9, "nlq_narration")


def test_clips_without_features_are_left_out(tmp_path):
    narrations = read_egoclip(write_table(tmp_path))
    found = narration_queries(narrations, [NLQ, VQ], without=frozenset(["a"]))
    assert [q.clip_uid for q in found] == ["c"]


def test_an_unknown_source_is_an_error(tmp_path):
    narrations = read_egoclip(write_table(tmp_path, [("v", "pass_9", 0, 5, 4, 6, "C eats")]))
    with pytest.raises(EgolibError, match="pass_9"):
        narration_queries(narrations, [NLQ])


def test_naq_takes_the_ends_too(tmp_path):
    found = naq_annotations(read_egoclip(write_table(tmp_path)), [NLQ, MOMENTS, VQ])
    clips = {c["clip_uid"]: c for v in found["videos"] for c in v["clips"]}
    assert list(clips) == ["a", "b", "c"]
    (annotation,) = clips["b"]["annotations"]
    assert annotation["annotation_uid"] == "v_b"
    assert [q["query"] for q in annotation["language_queries"]] == ["C walks", "C sits"]
    first = annotation["language_queries"][0]
    assert (first["clip_start_sec"], first["clip_end_sec"]) == (0, 4)
    assert (first["video_start_frame"], first["video_end_frame"]) == (300, 420)


def test_naq_joins_the_nlq_file(tmp_path):
    naq = naq_annotations(read_egoclip(write_table(tmp_path)), [NLQ, MOMENTS, VQ])
    merged = merge_naq(NLQ, naq)
    by_clip = {
        c["clip_uid"]: [a["annotation_uid"] for a in c["annotations"]]
        for v in merged["videos"]
        for c in v["clips"]
    }
    assert by_clip == {"a": ["a-nlq", "v_a"], "b": ["v_b"], "u": ["u-nlq"], "c": ["w_c"]}
    assert len(NLQ["videos"][0]["clips"][0]["annotations"]) == 1  # untouched


def test_naq_version_1_keeps_a_share_of_the_videos():
    narrations = read_egoclip_of(
        [(f"v{i}", "narration_pass_1", 0, 5, 4, 6, "x") for i in range(40)]
    )
    contents = [{"videos": [video(f"v{i}", (f"c{i}", 0.0, 10.0)) for i in range(40)]}]
    assert len(naq_annotations(narrations, contents, "v1")["videos"]) == 38
    assert len(naq_annotations(narrations, contents, "v2")["videos"]) == 40


def read_egoclip_of(rows):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        return read_egoclip(write_table(Path(folder), rows))


def test_what_is_skipped_is_counted(tmp_path):
    path = write_table(tmp_path, [*ROWS, ("v", "narration_pass_1", 9, 5, 4, 6, "")])
    path.write_text(path.read_text() + "v" + "\tx" * 12 + "\n")
    skipped = Skipped()
    assert len(read_egoclip(path, skipped)["v"].texts) == 4
    assert set(skipped.reasons) == {"line 7", "line 8"}
