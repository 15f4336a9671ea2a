"""Reading annotations: the forms that exist, and errors that name the record."""

from __future__ import annotations

import copy

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.mq.data.annotations import (
    Clip,
    Moment,
    clips_of,
    read_clips,
    read_official,
    require_ordered,
    select,
    without_duplicates,
)

RECORD = {
    "video_id": "v",
    "clip_id": "c",
    "parent_start_sec": 10.0,
    "parent_end_sec": 40,
    "fps": 1.87,
    "annotations": [
        {"label": "open", "start_time": 1, "end_time": 2.5, "primary": True},
        {"label": "wash", "start_time": 3, "end_time": 4},
        {"label": "open", "start_time": 5, "end_time": 6},
    ],
    "subset": "val",
}
LABEL = {"label": "open", "start_time": 1.0, "end_time": 2.0, "primary": True}
OFFICIAL = {
    "videos": [
        {
            "video_uid": "v",
            "split": "train",
            "clips": [
                {
                    "clip_uid": "c",
                    "video_start_sec": 0.0,
                    "video_end_sec": 30.0,
                    "annotations": [{"annotator_uid": "a", "labels": [LABEL, dict(LABEL)]}],
                }
            ],
        }
    ]
}


def test_converted_file(tmp_path):
    (clip,) = read_clips(write_json(tmp_path / "clips.json", {"c": RECORD}))
    assert clip.moments[0] == Moment("open", 1.0, 2.5)
    assert (clip.duration_sec, clip.fps, clip.subset) == (30.0, 1.87, "val")
    assert clip.labels == ("open", "wash")


def test_file_of_a_challenge_entry():
    entry = {**RECORD, "annotations": [{"segment": [1, 2], "label": "open", "label_id": 3}]}
    assert clips_of({"c": entry})[0].moments == (Moment("open", 1.0, 2.0),)


def test_a_subset_need_only_be_contained_in_the_name():
    clips = clips_of({"c": RECORD})
    assert select(clips, "validation") == select(clips, "val") == clips
    assert select(clips, "train") == []


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("subset",),
            None,
            r"file\.json, record c\.subset: wanted: 'train', 'val' or 'test', found None",
        ),
        (("parent_end_sec",), 5, r"record c: parent_end_sec 5: a time after the clip's start"),
        (("parent_end_sec",), "x", r"record c\.parent_end_sec: wanted: a valid number"),
        (("annotations",), {}, r"record c\.annotations: wanted: a valid list"),
        (
            ("annotations", 1),
            [],
            r"c\.annotations\[1\]: wanted: a valid dictionary, found",
        ),
        (
            ("annotations", 1, "label"),
            "",
            r"c\.annotations\[1\]\.label: String should have",
        ),
        (("annotations", 1, "start_time"), float("nan"), r"\[1\]\.start_time: a finite number"),
        (("annotations", 1, "start_time"), True, r"\[1\]\.start_time: wanted: a valid number"),
        (("annotations", 1, "segment"), [1], r"\[1\]\.segment: List should have at least 2 items"),
        (("annotations", 1, "segment"), [1, None], r"\[1\]\.segment\[1\]: wanted: a valid number"),
    ],
)
def test_wrong_records_are_named(path, value, message):
    with pytest.raises(EgolibError, match=message):
        clips_of({"c": changed(RECORD, path, value)}, "file.json")


def test_missing_fields_are_named():
    record = {k: v for k, v in RECORD.items() if k != "video_id"}
    with pytest.raises(EgolibError, match=r"record c\.video_id: the field is missing"):
        clips_of({"c": record})


def test_official_file(tmp_path):
    assert read_official(write_json(tmp_path / "m.json", OFFICIAL)) == OFFICIAL
    unannotated = changed(OFFICIAL, ("videos", 0, "clips", 0, "annotations"), None)
    read_official(write_json(tmp_path / "t.json", unannotated))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("videos",), None, r"m\.json, record videos: wanted: a valid list"),
        (("videos", 0), 3, r"record videos\[0\]: wanted: a valid dictionary, found 3"),
        (("videos", 0, "video_uid"), 3, r"record videos\[0\]\.video_uid: wanted: a valid string"),
        (("videos", 0, "clips", 0, "video_end_sec"), None, r"clips\[0\]\.video_end_sec"),
        (
            ("videos", 0, "clips", 0, "annotations", 0, "labels", 1, "end_time"),
            "2",
            r"clips\[0\]\.annotations\[0\]\.labels\[1\]\.end_time: wanted: a valid number",
        ),
        (
            ("videos", 0, "clips", 0, "annotations", 0, "labels", 1, "primary"),
            "true",
            r"labels\[1\]\.primary: wanted: a valid boolean",
        ),
    ],
)
def test_wrong_official_records_are_named(tmp_path, path, value, message):
    file = write_json(tmp_path / "m.json", changed(OFFICIAL, path, value))
    with pytest.raises(EgolibError, match=message):
        read_official(file)


def test_official_labels_need_their_fields(tmp_path):
    label = {k: v for k, v in LABEL.items() if k != "end_time"}
    path = ("videos", 0, "clips", 0, "annotations", 0, "labels", 1)
    file = write_json(tmp_path / "m.json", changed(OFFICIAL, path, label))
    with pytest.raises(EgolibError, match=r"labels\[1\]\.end_time: the field is missing"):
        read_official(file)


def test_reversed_moments_are_refused():
    moments = (Moment("open", 1, 1), Moment("wash", 5, 4))
    clip = Clip("c", "v", "train", 0, 10, moments, record="c")
    with pytest.raises(EgolibError, match=r"c\.json, record c\.annotations\[1\]: .*'wash' ends"):
        require_ordered([clip], "c.json")


def test_duplicates():
    moments = (
        Moment("open", 1, 2),
        Moment("open", 1.0005, 2),
        Moment("wash", 1, 2),
        Moment("wash", 3, 3),
    )
    clip = Clip("c", "v", "train", 0, 10, moments)
    assert without_duplicates(clip).moments == (moments[0], moments[2])


def changed(content, path, value):
    """A copy with one value replaced."""
    content = copy.deepcopy(content)
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return content
