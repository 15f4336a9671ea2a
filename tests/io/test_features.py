"""The feature store: provenance, resumption, refusal of what does not fit."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import (
    ConcatenatedStore,
    FeatureStore,
    FeatureWriter,
    Provenance,
    open_store,
    require_provenance,
    write_packed,
)

VIDEO = Provenance("video", 4, 30.0, 16.0, 16.0, "toy", "abc")


@pytest.fixture
def store(tmp_path):
    writer = FeatureWriter(tmp_path / "store", VIDEO)
    for uid, rows in {"a": 3, "b": 1}.items():
        writer.write(uid, np.arange(rows * 4, dtype=np.float32).reshape(rows, 4))
    return open_store(tmp_path / "store")


def test_files(store):
    assert store.uids() == ["a", "b"]
    assert store.get("a").shape == (3, 4)
    assert store.length("b") == 1
    assert "c" not in store
    assert store.provenance.rows_per_sec == 30 / 16
    assert pickle.loads(pickle.dumps(store)).get("a").shape == (3, 4)


def test_packed(tmp_path):
    arrays = {"q_0": np.ones((2, 5), np.float16), "q_1": np.zeros((1, 5), np.float16)}
    path = write_packed(tmp_path / "text", Provenance("text", 5), arrays)
    store = open_store(path)
    assert store.get("q_0").dtype == np.float32
    assert store.length("q_1") == 1
    assert pickle.loads(pickle.dumps(store)).uids() == ["q_0", "q_1"]


def test_unknown_uid_points_to_the_nearest(store):
    with pytest.raises(EgolibError, match="record aa: no features"):
        store.get("aa")


def test_writing_continues_and_refuses_another_provenance(tmp_path, store):
    writer = FeatureWriter(tmp_path / "store", VIDEO)
    assert writer.has("a")
    assert not writer.has("c")
    other = Provenance("video", 4, 30.0, 8.0, 16.0, "toy", "abc")
    with pytest.raises(EgolibError, match="other stride_frames"):
        FeatureWriter(tmp_path / "store", other)


def test_damaged_files_count_as_missing(tmp_path, store):
    file = tmp_path / "store" / "a.safetensors"
    file.write_bytes(file.read_bytes()[:20])
    assert not FeatureWriter(tmp_path / "store", VIDEO).has("a")
    with pytest.raises(EgolibError, match="extract it again"):
        store.get("a")


def test_a_file_of_another_store_is_noticed(tmp_path, store):
    writer = FeatureWriter(tmp_path / "other", Provenance("video", 4, 30.0, 8.0, 8.0, "x", "y"))
    writer.write("c", np.zeros((1, 4), np.float32))
    (tmp_path / "other" / "c.safetensors").rename(tmp_path / "store" / "c.safetensors")
    with pytest.raises(EgolibError, match="not its store's"):
        FeatureStore(tmp_path / "store").get("c")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3), np.float32), "width 4"),
        (np.full((1, 4), np.nan, np.float32), "NaN"),
        (np.zeros(4, np.float32), "shape"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, array, message):
    with pytest.raises(EgolibError, match=message):
        FeatureWriter(tmp_path / "s", VIDEO).write("a", array)


def test_provenance_is_checked(store):
    require_provenance(store, width=4, stride_frames=16.0)
    with pytest.raises(EgolibError, match="width 4, the configuration expects 2304"):
        require_provenance(store, width=2304)
    with pytest.raises(EgolibError, match=r"stride_frames 16\.0"):
        require_provenance(store, stride_frames=16.043)


def test_side_by_side(tmp_path, store):
    writer = FeatureWriter(tmp_path / "more", Provenance("video", 2, 30.0, 16.0, 16.0, "m", "d"))
    writer.write("a", np.ones((2, 2), np.float32))
    both = open_store([tmp_path / "store", tmp_path / "more"])
    assert isinstance(both, ConcatenatedStore)
    assert both.provenance.width == 6
    assert both.uids() == ["a"]
    assert both.get("a").shape == (2, 6)
    writer.write("b", np.ones((9, 2), np.float32))
    with pytest.raises(EgolibError, match="have \\[1, 9\\] rows"):
        open_store([tmp_path / "store", tmp_path / "more"]).get("b")


def test_missing_store(tmp_path):
    with pytest.raises(EgolibError, match="does not exist"):
        open_store(tmp_path / "none")


@pytest.mark.parametrize("uid", ["../a", "a/b", "/a", ".a", "", "a\nb", "a\0", "x" * 300])
def test_uids_that_would_name_other_files_are_refused(uid, tmp_path):
    with pytest.raises(EgolibError, match="cannot be the name of a file"):
        FeatureWriter(tmp_path / "store", VIDEO).write(uid, np.ones((1, 4), np.float32))
    assert [path.name for path in tmp_path.rglob("*")] == ["store", "store.json"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"width": "4"}, "provenance.width"),
        ({"width": True}, "provenance.width"),
        ({"fps": float("inf")}, "provenance"),
        ({"stride_frames": -1}, "provenance"),
        ({"colour": 1}, "provenance.colour"),
        ({"kind": None}, "provenance.kind"),
    ],
)
def test_damaged_sidecars_are_refused(changes, place, tmp_path, store):
    file = tmp_path / "store" / "store.json"
    about = json.loads(file.read_text())
    about["provenance"] |= changes
    file.write_text(json.dumps(about))
    with pytest.raises(EgolibError, match=f"store.json, record {place}"):
        open_store(tmp_path / "store")


def test_arrays_without_rows_are_refused(tmp_path):
    with pytest.raises(EgolibError, match="shape"):
        FeatureWriter(tmp_path / "store", VIDEO).write("a", np.ones((0, 4), np.float32))
