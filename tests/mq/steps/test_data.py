"""``1_data``: lists, class table, features that are there, that are not, and that are noise."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.io.records import read_json, write_json
from egolib.mq.data.annotations import read_annotations
from egolib.mq.data.prepared import read_prepared
from egolib.mq.steps import data as steps
from egolib.mq.steps import figures
from tests.mq.project import LABELS, step


def test_what_is_written_is_read_again(root, runs):
    made = read_prepared(step("2_train", root, runs))
    assert [len(made.of(s)) for s in ("train", "val", "test")] == [6, 3, 2]
    assert list(made.classes) == ["Background", *LABELS]
    assert made.store.provenance.model == "planted"
    result = read_json(runs / "1_data" / "result.json")
    assert result["data"]["moments"] == 27  # the primary ones of nine labelled clips
    assert result["metrics"] == {"clips": 11, "skipped": 0}
    assert all(not clip.moments for clip in made.of("test"))


def test_tables_and_figures(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = steps.prepare(made)
    assert list(steps.table(prepared).columns) == ["train", "val", "test"]
    assert steps.class_table(prepared)["train"].tolist() == [6, 6, 6]
    values = steps.feature_table(made, prepared)["value"]
    assert values["rows of a clip"] == "30 to 30"
    assert values["clips with features"] == "11 of 11"
    clip, curves = steps.example(made, prepared)
    assert set(np.unique(curves["action"])) == {0, 1} and len(curves["end"]) == 30
    assert len(figures.moments(steps.subsets(prepared)).axes) == 3
    assert len(figures.targets(clip, curves).axes) == 4


def test_cut_moments_are_counted(root, tmp_path):
    made = step("1_data", root, tmp_path, {"model": {"length": 16}})
    prepared = steps.prepare(made)
    values = steps.feature_table(made, prepared)["value"]
    assert values["clips that are cut"] == "11"
    assert int(values["moments cut off or without length"]) == 9  # of 6 clips the last, of 3 two


def test_noise_knows_nothing_of_the_clips(root, tmp_path):
    store = steps.prepare(step("1_data", root, tmp_path, variant="features_random")).store
    assert store.get("train0").shape == (30, 128)
    assert (store.get("train0") == store.get("train0")).all()
    assert abs(np.corrcoef(store.get("train0")[0], store.get("val0")[0])[0, 1]) < 0.5


def test_the_input_comes_before_the_places(root, tmp_path):
    changes = {"data": {"features": ["nowhere"]}}
    with pytest.raises(EgolibError, match="none of nowhere is there"):
        steps.prepare(step("1_data", root, tmp_path, changes))
    (tmp_path / "extraction").mkdir()
    (tmp_path / "extraction" / "moments").symlink_to(root / "features")
    made = step("1_data", root, tmp_path, changes, features=tmp_path / "extraction")
    assert len(steps.prepare(made).clips) == 11


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"classes": 7}}, "a class table of 4 for a network of 7 classes"),
        ({"data": {"annotations": "nowhere"}}, "no moments annotations"),
    ],
)
def test_what_cannot_work_is_refused(root, tmp_path, changes, message):
    made = step("1_data", root, tmp_path, changes)
    with pytest.raises(EgolibError, match=message):
        steps.check(made, steps.prepare(made))


def test_classes_that_only_validation_has(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = steps.prepare(made)
    del prepared.classes["wash"]
    with pytest.raises(
        EgolibError, match=r"1 classes are not in the class table: wash.*\n.*all_spl"
    ):
        steps.check(made, prepared)


def test_official_files_are_read_as_clips(root):
    clips = read_annotations(root / "truth" / "moments_test.json")
    assert [c.clip_uid for c in clips] == ["test0", "test1"]
    assert [m.label for m in clips[0].moments] == list(LABELS)  # the primary ones
    with pytest.raises(EgolibError, match="no clip of 'val'"):
        read_annotations(root / "truth" / "moments_test.json", "val")


def as_arrays(root, tmp_path):
    """The features of the world as a folder of ``.npy`` files, each of which can be broken."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    store = open_store(root / "features")
    for uid in store.uids():
        np.save(folder / f"{uid}.npy", store.get(uid))
    return folder


def test_broken_features_are_all_listed(root, tmp_path):
    """The official converters look at the first clip of a video; here every clip is read."""
    folder = as_arrays(root, tmp_path)
    made = step("1_data", root, tmp_path, {"data": {"missing_features": "official"}},
                features=folder)  # fmt: skip
    steps.check(made, steps.prepare(made))
    np.save(folder / "train3.npy", np.full((30, 5), np.inf, np.float32))
    np.save(folder / "test1.npy", np.zeros((30, 4), np.float32))
    prepared = steps.prepare(made)
    lost = {"v_train3": "infinity", "v_test1": "(30, 4)"}  # by video, as the official converter
    assert prepared.conversion is not None
    assert set(prepared.conversion.skipped.reasons) == set(lost)
    with pytest.raises(EgolibError, match="clips without features: 2 skipped") as found:
        steps.check(made, prepared)
    assert all(why in str(found.value) for why in lost.values())


def test_a_broken_later_clip_of_a_video_is_listed(root, tmp_path):
    folder = as_arrays(root, tmp_path)
    places = tmp_path / "data"
    shutil.copytree(root, places)
    file = places / "ego4d" / "v2" / "annotations" / "moments_train.json"
    content = read_json(file)
    content["videos"][0]["clips"] += content["videos"].pop()["clips"]
    write_json(file, content)
    np.save(folder / "train5.npy", np.full((30, 5), np.nan, np.float32))
    made = step("1_data", places, tmp_path, features=folder)
    prepared = steps.prepare(made)
    assert list(prepared.unreadable.reasons) == ["train5"]
    assert steps.feature_table(made, prepared)["value"]["clips with features"] == "10 of 11"
    steps.example(made, prepared)
    with pytest.raises(EgolibError, match="features cannot be read: 1 skipped") as found:
        steps.check(made, prepared)
    assert "train5: NaN or infinity" in str(found.value)
