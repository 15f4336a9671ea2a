"""Converted annotations and narrations, equal to what the official converters wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.nlq.data.annotations import (
    check_counts,
    from_official,
    read_official,
    read_queries,
    to_official,
    write_queries,
)
from egolib.nlq.data.narrations import (
    merge_naq,
    naq_annotations,
    narration_queries,
    read_egoclip,
    read_training_clips,
)
from tests.parity.recordings import read

FILES = {
    "train": "nlq_train.json",
    "val": "nlq_val.json",
    "test": "nlq_test_unannotated.json",
}


@pytest.mark.recordings("annotations")
def test_converter(recording: Path, tmp_path: Path) -> None:
    folder, queries = recording.parent, {}
    for split, name in FILES.items():
        queries[split] = read_queries(folder / name)
        check_text(folder / f"ego4d_nlq_{split}_v2.jsonl", queries[split], tmp_path)
    both = folder / "ego4d_nlq_train+val_v2.jsonl"
    check_text(both, queries["train"] + queries["val"], tmp_path)


def check_text(expected: Path, queries: list, tmp_path: Path) -> None:
    """Byte-equal (the published files have DOS line breaks), and read back without a loss."""
    found = write_queries(tmp_path / expected.name, queries)
    assert found.read_bytes() == expected.read_bytes().replace(b"\r\n", b"\n")
    assert read_queries(found) == queries
    assert from_official(to_official(queries, "any")) == queries


def test_real_files(real_dir: Path, tmp_path: Path) -> None:
    """The complete official files give the complete official JSON lines."""
    for folder in (real_dir / "nlq", real_dir / "nlq" / "sample"):
        for split in ("val", "test"):
            queries = read_queries(folder / FILES[split])
            check_text(folder / f"ego4d_nlq_{split}_v2.jsonl", queries, tmp_path)
    for split in ("train", "val", "test"):
        queries = read_queries(real_dir / "nlq" / f"ego4d_nlq_{split}_v2.jsonl")
        assert check_counts(queries, split) == []


@pytest.mark.recordings("narrations")
def test_narrations(recording: Path) -> None:
    folder = recording.parent
    contents = read_training_clips(
        *(folder / f"{name}_train.json" for name in ("nlq", "moments", "vq"))
    )
    found = [q.record() for q in narration_queries(read_egoclip(recording), contents)]
    lines = (folder / "format_unique_pretrain_data.jsonl").read_text().split("\n")
    expected = [json.loads(line) for line in lines if line]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=False):
        assert list(ours) == list(theirs)
        assert ours.pop("duration") == pytest.approx(theirs.pop("duration"), abs=1e-9)
        assert ours.pop("timestamps")[0] == pytest.approx(theirs.pop("timestamps")[0], abs=1e-9)
        assert ours == theirs


@pytest.mark.recordings("narrations")
def test_naq(recording: Path) -> None:
    folder = recording.parent
    contents = read_training_clips(
        *(folder / f"{name}_train.json" for name in ("nlq", "moments", "vq"))
    )
    naq = naq_annotations(read_egoclip(recording), contents)
    merged = merge_naq(read_official(folder / "nlq_train.json"), naq)
    expected = read(folder / "naq_augmented_sorted.json.gz")
    videos = sorted(merged["videos"], key=lambda v: v["video_uid"])
    assert [v["video_uid"] for v in videos] == [v["video_uid"] for v in expected["videos"]]
    for video, theirs in zip(videos, expected["videos"], strict=False):
        check_clips(sorted(video["clips"], key=lambda c: c["clip_uid"]), theirs["clips"])


def check_clips(found: list[dict], expected: list[dict]) -> None:
    assert [c["clip_uid"] for c in found] == [c["clip_uid"] for c in expected]
    for clip, theirs in zip(found, expected, strict=False):
        for name in theirs.keys() - {"annotations"}:
            assert clip[name] == theirs[name]
        uids = [a["annotation_uid"] for a in clip["annotations"]]
        assert uids == [a["annotation_uid"] for a in theirs["annotations"]]
        for annotation, other in zip(clip["annotations"], theirs["annotations"], strict=False):
            check_queries(annotation["language_queries"], other["language_queries"])


def check_queries(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected)
    for query, theirs in zip(found, expected, strict=False):
        kept = {name: query.get(name) for name in theirs}
        assert kept == pytest.approx(theirs, abs=1e-9)
