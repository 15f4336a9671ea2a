"""The converter: what is skipped, what is kept twice, what is refused."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.mq.config import DataConfig
from egolib.mq.data.conversion import convert, read_durations

OPEN = {"label": "open", "start_time": 1.0, "end_time": 2.0, "primary": True}
HIDDEN = {**OPEN, "primary": False}
WASH = {**OPEN, "label": "wash"}


def clip(uid, *annotators):
    record = {"clip_uid": uid, "video_start_sec": 0.0, "video_end_sec": 30.0}
    labels = [{"annotator_uid": str(i), "labels": x} for i, x in enumerate(annotators)]
    return record | {"annotations": labels}


def video(uid, split, *clips):
    return {"video_uid": uid, "split": split, "clips": list(clips)}


def run(tmp_path, *videos, rows=lambda uid: 60, durations=None, **settings):
    file = write_json(tmp_path / "moments.json", {"videos": list(videos)})
    known = {v["video_uid"]: 60.0 for v in videos}
    return convert([file], durations or known, rows, DataConfig(**settings))


def test_primary_labels_of_all_annotators_in_order(tmp_path):
    found = run(tmp_path, video("v", "train", clip("c", [OPEN, HIDDEN], [WASH, OPEN])))
    assert found.clips["c"]["annotations"] == [OPEN, WASH, OPEN]
    assert found.clips["c"]["fps"] == 1.0
    assert found.counts()["train_clips"] == 1


def test_clips_without_labels_go_unless_they_are_test(tmp_path):
    found = run(
        tmp_path,
        video("v", "train", clip("a", [HIDDEN])),
        video("w", "test", clip("b", [OPEN])),
    )
    assert list(found.clips) == ["b"]
    assert found.clips["b"]["annotations"] == []
    assert found.unlabelled == ["a"]


def test_a_missing_first_file_costs_the_whole_video(tmp_path):
    videos = video("v", "val", clip("a", [OPEN]), clip("b", [OPEN]))

    def rows(uid):
        if uid == "a":
            raise EgolibError("no features for this uid")
        return 60

    found = run(tmp_path, videos, rows=rows)
    assert not found.clips
    assert list(found.skipped.reasons) == ["v"]
    assert found.skipped_clips == ["a", "b"]
    assert found.counts()["clips_without_features"] == 2
    assert list(run(tmp_path, videos, rows=rows, layout="ego4d").clips) == ["a", "b"]
    with pytest.raises(EgolibError, match="no features"):
        run(tmp_path, videos, rows=rows, missing_features="error")


def test_clips_listed_twice(tmp_path):
    videos = [video("v", "train", clip("c", [OPEN])), video("w", "train", clip("c", [OPEN, WASH]))]
    assert run(tmp_path, *videos).clips["c"]["annotations"] == [OPEN, OPEN, WASH]
    merged = run(tmp_path, *videos, duplicate_clips="merge_unique")
    assert merged.clips["c"]["annotations"] == [OPEN, WASH]
    assert merged.clips["c"]["video_id"] == "v"


def test_equal_labels_of_one_video_stay(tmp_path):
    found = run(
        tmp_path,
        video("v", "train", clip("c", [OPEN], [OPEN])),
        duplicate_clips="merge_unique",
    )
    assert found.clips["c"]["annotations"] == [OPEN, OPEN]


def test_a_video_without_duration_is_named(tmp_path):
    with pytest.raises(EgolibError, match=r"moments\.json, record videos\[0\]: video v has no"):
        run(tmp_path, video("v", "train", clip("c", [OPEN])), durations={"w": 1.0})


def test_durations(tmp_path):
    file = write_json(tmp_path / "e.json", {"videos": [{"video_uid": "v", "duration_sec": 3}]})
    assert read_durations(file) == {"v": 3.0}
    write_json(file, {"videos": [{"video_uid": "v", "duration_sec": None}]})
    with pytest.raises(EgolibError, match=r"e\.json, record videos\[0\]\.duration_sec"):
        read_durations(file)
