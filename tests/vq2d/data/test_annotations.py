"""Annotation files: what is used, what is refused, what is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.vq2d.data.annotations import (
    Box,
    find_annotations,
    from_content,
    grouped_by_clip,
    processed,
    read_annotations,
    write_processed,
)
from tests.vq2d import made


def test_an_empty_file() -> None:
    annotations = from_content({"version": "1.0.5", "videos": []})
    assert annotations.queries == [] == processed(annotations)
    assert annotations.counts()["queries"] == 0


def test_tracks_are_sorted_and_boxes_have_corners() -> None:
    query = made.query(9, [made.box(4, 2, 2, 5, 5), made.box(3, 1, 1.5, 10, 20)])
    content = made.content(made.clip("c", [made.annotation("a", query)]))
    (found,) = from_content(content).queries
    assert [box.frame for box in found.track] == [3, 4]
    assert found.track[0].xyxy == (1, 1.5, 11, 21.5)
    assert found.track[0].area == 200 and found.track[0].aspect_ratio == pytest.approx(0.5)
    assert found.key == "a_1" and found.crop.frame == 10


def test_the_test_file_has_no_tracks() -> None:
    content = made.content(made.clip("c", [made.annotation("a", made.query(9, None))]))
    annotations = from_content(content)
    assert annotations.queries[0].track == ()
    assert "response_track" not in grouped_by_clip(annotations)["c"][0]


def test_invalid_query_sets_may_lack_everything() -> None:
    content = made.content(made.clip("c", [made.annotation("a", {"is_valid": False}, {})]))
    assert from_content(content).queries == []


def test_null_clips_are_processed_but_not_grouped() -> None:
    content = made.content(made.clip(None, [made.annotation("a", made.query(9, made.track(1, 2)))]))
    annotations = from_content(content)
    assert processed(annotations)[0]["clip_uid"] is None
    assert grouped_by_clip(annotations) == {} == annotations.by_clip()


def test_names_count_over_the_whole_file() -> None:
    uids = [item["dataset_uid"] for item in processed(from_content(made.two_queries()))]
    assert uids == ["val_0000000000", "val_0000000001"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda q: q.pop("query_frame"), "query_frame"),
        (lambda q: q.update(query_frame="9"), "query_frame: wanted: a valid integer, found '9'"),
        (lambda q: q["visual_crop"].pop("width"), "width"),
        (
            lambda q: q["visual_crop"].update(x=None),
            "visual_crop.x: wanted: a valid number, found None",
        ),
        (
            lambda q: q["response_track"][1].update(height=True),
            "response_track[1].height: wanted: a valid number, found True",
        ),
        (lambda q: q["response_track"].append("box"), "'box'"),
    ],
)
def test_malformed_queries_are_listed(change, reason: str) -> None:
    content = made.two_queries()
    change(content["videos"][0]["clips"][0]["annotations"][0]["query_sets"]["1"])
    annotations = from_content(content)
    assert [query.key for query in annotations.queries] == ["a_3"]
    assert reason in annotations.skipped.reasons["a_1"]
    assert annotations.counts()["malformed"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["videos"][0].pop("video_uid"), "video_uid"),
        (lambda c: c["videos"][0]["clips"][0].pop("clip_fps"), "clip_fps: the field is missing"),
        (lambda c: c["videos"][0]["clips"][0]["annotations"][0].pop("query_sets"), "query_sets"),
    ],
)
def test_files_without_structure_are_refused(change, message: str) -> None:
    content = made.two_queries()
    change(content)
    with pytest.raises(EgolibError, match=message):
        from_content(content)


def test_reading_and_writing(tmp_path: Path) -> None:
    folder = tmp_path / "ego4d" / "v2" / "annotations"
    folder.mkdir(parents=True)
    (folder / "vq_val.json").write_text(json.dumps(made.two_queries()))
    annotations = read_annotations(find_annotations(tmp_path, "val"))
    assert annotations.version == "1.0.5"
    assert find_annotations(folder, "val") == folder / "vq_val.json"
    path = write_processed(annotations, tmp_path, "val")
    assert path.name == "val_annot.json.gz" and read_json(path) == processed(annotations)
    with pytest.raises(EgolibError, match="no vq_test_unannotated"):
        find_annotations(tmp_path, "test")
    (folder / "vq_train.json").write_text("[]")
    with pytest.raises(EgolibError, match="expected a dict"):
        read_annotations(folder / "vq_train.json")


def test_box_from_record() -> None:
    assert Box.from_record(made.box(3, 1, 2, 4, 5)).frame_size == made.SIZE
