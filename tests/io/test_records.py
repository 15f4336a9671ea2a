"""Readers that name file and record; writers that leave no half file."""

from __future__ import annotations

import gzip
import os

import pytest

from egolib.errors import EgolibError, nearest
from egolib.io import records
from egolib.io.tables import read_table


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_json_round_trip(tmp_path, name):
    value = {"text": "käse", "numbers": [1, 2.5, None]}
    assert records.read_json(records.write_json(tmp_path / name, value)) == value


def test_gzip_is_deterministic(tmp_path):
    first = records.write_json(tmp_path / "a.json.gz", [1]).read_bytes()
    assert records.write_json(tmp_path / "b.json.gz", [1]).read_bytes() == first
    assert gzip.decompress(first) == b"[1]"


def test_jsonl_round_trip_without_final_line_break(tmp_path):
    path = records.write_jsonl(tmp_path / "a.jsonl", [{"a": 1}, {"b": 2}])
    assert path.read_text() == '{"a": 1}\n{"b": 2}'
    assert records.read_jsonl(path) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": }\n', "line 2: malformed JSON at column 7"),
        ('{"a": 1}\n\n[1, 2', "line 3: malformed JSON"),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(EgolibError, match=message) as caught:
        records.read_jsonl(path)
    assert str(path) in str(caught.value)
    assert "remedy: mend or remove that line" in str(caught.value)


def test_truncated_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, 2')
    with pytest.raises(EgolibError, match=r"a\.json: malformed JSON at line 1"):
        records.read_json(tmp_path / "a.json")
    whole = gzip.compress(b"x" * 1000)
    (tmp_path / "a.json.gz").write_bytes(whole[:-10])
    with pytest.raises(EgolibError, match="cannot be read"):
        records.read_json(tmp_path / "a.json.gz")


def test_missing_files_point_to_siblings(tmp_path):
    (tmp_path / "nlq_val.json").write_text("{}")
    with pytest.raises(EgolibError, match=r"did you mean nlq_val\.json"):
        records.read_json(tmp_path / "nlq_vall.json")
    with pytest.raises(EgolibError, match="does not exist either"):
        records.read_json(tmp_path / "none" / "x.json")


def test_json_of_another_type(tmp_path):
    path = records.write_json(tmp_path / "a.json", [])
    with pytest.raises(EgolibError, match="expected a dict, found list"):
        records.read_json(path, dict)


def test_nan_is_not_json(tmp_path):
    with pytest.raises(EgolibError, match="not JSON"):
        records.write_json(tmp_path / "a.json", float("nan"))
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = records.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), records.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("the disk is full")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_tables(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("uid\tstart\na\t1\nb\t2\t3\nc\t4\n")
    table = read_table(path, ["start"], separator="\t", skip_malformed=True)
    assert table["start"].tolist() == [1, 4]
    assert table.attrs["malformed"] == 1
    with pytest.raises(EgolibError, match="did you mean start"):
        read_table(path, ["strat"], separator="\t", skip_malformed=True)
    with pytest.raises(EgolibError, match="malformed table"):
        read_table(path, separator="\t")


def test_xml(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<a><b>1</b></a>")
    assert records.read_xml(path).findtext("b") == "1"
    path.write_text("<a><b>1</a>")
    with pytest.raises(EgolibError, match="malformed XML"):
        records.read_xml(path)


def test_require_names_the_record():
    with pytest.raises(EgolibError, match="v.json, record clip 3: field 'clip_uid' is missing"):
        records.require({"clip_id": 1}, ["clip_uid"], file="v.json", name="clip 3")


def test_skipped_are_counted_and_listed():
    skipped = records.Skipped()
    assert skipped.summary() == "nothing was skipped"
    for number in range(12):
        skipped.add(f"clip {number}", "truncated")
    skipped.add("clip 0", "another reason")
    assert skipped.summary().startswith("12 skipped\n  clip 0: truncated")
    assert skipped.summary().endswith("and 2 more")


def test_nearest():
    assert nearest("epoch", ["epochs", "seed"]) == "did you mean epochs?"
    assert nearest("x", ["aaa", "bbb"]) == "known: aaa, bbb"
    assert nearest("x", [f"{i:03d}" for i in range(100)]).endswith("… (100)")
