"""``3_infer``: files of every split and correction; what is kept, and what computes again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.io.records import read_json, write_json
from egolib.mq.formats import submission
from egolib.mq.steps import infer as steps
from tests.mq.project import LABELS, step


def folder(runs):
    return runs / "3_infer"


def test_files(runs):
    names = {p.name for p in folder(runs).glob("*.json")}
    assert {"val.json", "test.json", "val.per_class.json", "test.rounding.json"} <= names
    official = submission.read_results(folder(runs) / "val" / "detections_postNMS.json")
    detections, retrievals = submission.read(folder(runs) / "val.json")
    assert official == detections
    assert (folder(runs) / "val" / "retreival_postNMS.json").is_file()
    assert list(detections) == list(retrievals) == ["val0", "val1", "val2"]
    assert {r["label"] for records in detections.values() for r in records} <= set(LABELS)


def test_corrections_change_what_they_name(runs):
    rounded, exact = (
        submission.read(folder(runs) / f"{n}.json")[1] for n in ("val", "val.rounding")
    )
    first, same = rounded["val0"][0], exact["val0"][0]
    assert first["segment"] == [round(t, 1) for t in same["segment"]] != same["segment"]
    assert submission.read(folder(runs) / "val.per_class.json")[0] != rounded


def test_finished_clips_are_kept_until_a_setting_changes(root, runs, monkeypatch):
    asked = []
    rank = steps.rank_all
    monkeypatch.setattr(
        steps, "rank_all", lambda clip, *rest: asked.append(clip.clip_uid) or rank(clip, *rest)
    )
    made = step("3_infer", root, runs)
    again = steps.predict(made)
    assert asked == [] and len(again.files) == 6
    kept = next((made.out / steps.CACHE).glob("*/val1.json"))
    kept.unlink()
    steps.predict(made)
    assert asked == ["val0", "val1", "val2"]  # its group
    asked.clear()
    steps.predict(step("3_infer", root, runs, {"infer": {"nms_iou": 0.41}}))
    assert len(asked) == 5
    steps.predict(made)  # as the other tests expect it


def test_the_answer_that_is_drawn(root, runs):
    made = step("3_infer", root, runs)
    predictions = steps.predict(made)
    found = steps.example(made, predictions)
    assert found.duration_sec == 16 and found.truth_labels == LABELS
    assert len(found.labels) == len(found.scores) == len(found.segments_sec) > 0
    table = steps.table(predictions)
    assert table.loc["val", "clips"] == 3
    assert read_json(made.out / "result.json")["metrics"]["test"]["clips"] == 2


def test_features_that_break_cost_nothing_that_is_answered(root, runs, tmp_path, monkeypatch):
    """The error names file and clip; once it is mended the same command computes the rest."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    store = open_store(root / "features")
    for uid in store.uids():
        np.save(folder / f"{uid}.npy", store.get(uid))
    (tmp_path / "1_data").mkdir()
    for name in ("clip_annotations.json", "moment_classes_idx.json", "result.json"):
        shutil.copyfile(runs / "1_data" / name, tmp_path / "1_data" / name)
    write_json(tmp_path / "1_data" / "features.json", {"place": str(folder)})
    inputs = {"data": tmp_path / "1_data", "model": runs / "2_train"}
    made = step("3_infer", root, tmp_path, {"infer": {"batch_size": 1}}, **inputs)
    whole = (folder / "val1.npy").read_bytes()
    (folder / "val1.npy").write_bytes(whole[:200])
    with pytest.raises(EgolibError) as found:
        steps.predict(made)
    assert found.value.file == folder and found.value.record == "val1" and found.value.remedy
    (folder / "val1.npy").write_bytes(whole)
    asked = []
    rank = steps.rank_all
    monkeypatch.setattr(
        steps, "rank_all", lambda clip, *rest: asked.append(clip.clip_uid) or rank(clip, *rest)
    )
    assert "val" in steps.predict(made).files
    assert asked == ["val1", "val2", "test0", "test1"]
