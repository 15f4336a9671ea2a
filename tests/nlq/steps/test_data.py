"""The lists and reports of ``1_data``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.io.features import open_store
from egolib.io.records import read_text, write_text
from egolib.nlq.data.annotations import read_queries
from egolib.nlq.data.stores import StoreReport
from egolib.nlq.steps import data
from tests.nlq.project import TEXT, VIDEO, make_root, step


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path / "root")


def test_every_split_is_written(root, tmp_path):
    made = step("1_data", root, tmp_path)
    lists = data.convert(made)
    assert {name: len(own.queries) for name, own in lists.items()} == {
        "train": 9,
        "val": 6,
        "test": 3,
    }
    for own in lists.values():
        assert read_queries(own.path) == own.queries
    assert lists["test"].queries[0].windows_sec is None
    later = step("2_train", root, tmp_path)
    assert data.read_list(later, "val") == lists["val"].queries
    with pytest.raises(EgolibError, match="no list 'narrations'"):
        data.read_list(later, "narrations")


@pytest.mark.parametrize(("ends", "equal"), [("\n", True), ("\r\n", True), ("x\n", False)])
def test_lists_are_compared_with_published_ones(root, tmp_path, ends, equal):
    made = step("1_data", root, tmp_path)
    text = read_text(data.convert(made)["val"].path)
    write_text(root / "nlq" / "ego4d_nlq_val_v2.jsonl", text.replace("\n", ends))
    prepared = data.prepare(made)
    assert prepared.lists["val"].equals_published is equal
    assert prepared.lists["train"].equals_published is None
    assert list(data.table(prepared)["equals the published list"][:2]) == [
        "nothing to compare",
        "yes" if equal else "NO",
    ]
    if not equal:
        with pytest.raises(EgolibError, match="published list differ"):
            data.check(made, prepared)


def test_published_lists_serve_where_official_files_are_absent(root, tmp_path):
    made = step("1_data", root, tmp_path)
    first = data.convert(made)["train"]
    flat = tmp_path / "flat"
    write_text(flat / "ego4d_nlq_train_v2.jsonl", read_text(first.path))
    official = root / "ego4d" / "v2" / "annotations" / "nlq_val.json"
    write_text(flat / "nlq_val.json", read_text(official))
    lists = data.convert(step("1_data", flat, tmp_path / "other"))
    assert lists["train"].queries == first.queries
    assert "official file absent" in lists["train"].notes[0]
    assert set(lists) == {"train", "val"}


def test_a_missing_training_list_is_an_error(root, tmp_path):
    (root / "ego4d" / "v2" / "annotations" / "nlq_train.json").unlink()
    with pytest.raises(EgolibError, match="'train'"):
        data.convert(step("1_data", root, tmp_path))


def test_published_counts_are_insisted_on(root, tmp_path):
    with pytest.raises(EgolibError, match="13847"):
        data.convert(step("1_data", root, tmp_path, {"data": {"counts": "published"}}))


def test_train_and_val_together(root, tmp_path):
    lists = data.convert(step("1_data", root, tmp_path, {"data": {"train": "train+val"}}))
    assert lists["train+val"].queries == lists["train"].queries + lists["val"].queries
    assert "validation set" in lists["train+val"].notes[0]


def test_narrations(root, tmp_path):
    lists = data.convert(step("1_data", root, tmp_path, {"data": {"train": "narrations"}}))
    records = [json.loads(line) for line in read_text(lists["narrations"].path).split("\n")]
    assert len(records) == 9
    assert records[0]["narration_query"] == "#C C cuts"
    assert records[0]["query_type"] == "nlq_narration"


def test_questions_and_the_narrations_of_their_clips(root, tmp_path):
    lists = data.convert(step("1_data", root, tmp_path, {"data": {"train": "train+narrations"}}))
    joined, questions = lists["train+narrations"].queries, lists["train"].queries
    said = data.narrated(joined)
    assert joined == questions + said and len(said) == 9
    assert {query.clip_uid for query in said} == {query.clip_uid for query in questions}


def test_fixed_intervals_are_fitted_on_questions_alone(root, tmp_path):
    plain = data.prepare(step("1_data", root, tmp_path))
    joined = data.prepare(step("1_data", root, tmp_path, {"data": {"train": "train+narrations"}}))
    assert {name: str(found.prior) for name, found in joined.blind.items()} == {
        name: str(found.prior) for name, found in plain.blind.items()
    }


def test_reports_about_stores(root, tmp_path):
    made = step("1_data", root, tmp_path)
    lists = data.convert(made)
    reports = data.check_stores(made, lists)
    assert set(reports) == {"video", f"text: {TEXT}"}
    assert all(r.coverage == 1 for r in reports.values() if isinstance(r, StoreReport))
    data.require_usable(reports, absent_is_fine=False)
    (root / VIDEO / "train0.safetensors").unlink()
    with pytest.raises(EgolibError, match="1 are missing"):
        data.require_usable(data.check_stores(made, lists), absent_is_fine=True)


def test_absent_stores_are_said_so(root, tmp_path):
    changes = {"data": {"video_stores": ["nlq/nowhere"], "text_stores": ["nlq/neither"]}}
    made = step("1_data", root, tmp_path, changes)
    reports = data.check_stores(made, data.convert(made))
    assert "nlq/nowhere is absent" in data.report_text(reports)
    data.require_usable(reports, absent_is_fine=True)
    with pytest.raises(EgolibError, match="absent"):
        data.require_usable(reports, absent_is_fine=False)


def test_tables(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made)
    assert data.statistics_table(prepared).loc["questions", "val"] == 6
    assert data.counts(prepared)["test"] == {"questions": 3, "clips": 1}
    assert data.counts(prepared)["version"] == "v2"
    assert set(data.metrics(prepared)["blind"]) == set(data.blind_table(prepared).index)
    data.check(made, prepared)


def test_an_empty_list_is_refused(root, tmp_path):
    made = step("1_data", root, tmp_path)
    prepared = data.prepare(made)
    prepared.lists["test"].queries.clear()
    with pytest.raises(EgolibError, match="'test' is empty"):
        data.check(made, prepared)


def test_the_recorded_real_baseline():
    """Real data, no model: three families, the complete validation set."""
    found = data.recorded_real_baseline()
    assert list(found.index) == ["relative", "mixed", "absolute"]
    assert (found["questions"] == 4552).all()
    assert found["r1_at_0.3"].between(0, 10).all()


def test_broken_features_are_all_listed(root, tmp_path):
    """A truncated file and one of NaN among whole ones: both named, before any training."""
    made = step("1_data", root, tmp_path, {"data": {"video_stores": ["arrays"]}})
    store = open_store(root / VIDEO)
    (root / "arrays").mkdir()
    for uid in store.uids():
        np.save(root / "arrays" / f"{uid}.npy", store.get(uid))
    first = root / "arrays" / f"{store.uids()[0]}.npy"  # the one whose width would be taken
    first.write_bytes(first.read_bytes()[:100])
    np.save(root / "arrays" / "val1.npy", np.full((60, 8), np.nan, np.float32))
    prepared = data.prepare(made)
    report = prepared.reports["video"]
    assert isinstance(report, StoreReport) and report.width == 8
    assert set(report.broken) == {first.stem, "val1"}
    assert len(report.lengths) == len(store) - 2
    with pytest.raises(EgolibError, match="2 cannot be used") as found:
        data.check(made, prepared)
    for name in report.broken:
        assert name in str(found.value)
