from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.moments import MomentClip, read_moment_clips


def write(path: Path, *clips: dict) -> Path:
    path.write_text(json.dumps({"videos": [{"video_uid": "v", "clips": list(clips)}]}))
    return path


def clip(uid: str, start: float = 0.0) -> dict:
    return {"clip_uid": uid, "video_start_sec": start, "video_end_sec": start + 8}


def test_each_clip_once_in_order(tmp_path: Path) -> None:
    first = write(tmp_path / "train.json", clip("a"), clip("b", 3))
    second = write(tmp_path / "val.json", clip("b", 99), clip("c"))
    found = read_moment_clips([first, second])
    assert [c.clip_uid for c in found] == ["a", "b", "c"]
    assert found[1] == MomentClip("b", "v", 3.0, 11.0)
    assert read_moment_clips([]) == []


def test_missing_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="video_end_sec.*"):
        read_moment_clips([write(tmp_path / "x.json", {"clip_uid": "a", "video_start_sec": 1})])
