"""Detection caches: three forms, and what is wrong with a damaged one."""

from __future__ import annotations

import json
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.vq2d.formats import detections as caches
from egolib.vq2d.formats.detections import Detections

BOXES = [[[1, 2, 3, 4]], [], [[5, 6, 7, 8], [0, 0, 1, 1]]]
SCORES = [[0.5], [], [0.9, 0.1]]


@pytest.fixture
def official_content(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What the official step 1 saves, with its own class of boxes."""

    class BBox:
        def __init__(self, fno, x1, y1, x2, y2):
            self.fno, self.x1, self.y1, self.x2, self.y2 = fno, x1, y1, x2, y2

    module = types.ModuleType("vq2d.structures")
    module.BBox = BBox
    BBox.__module__, BBox.__qualname__ = "vq2d.structures", "BBox"
    monkeypatch.setitem(sys.modules, "vq2d", types.ModuleType("vq2d"))
    monkeypatch.setitem(sys.modules, "vq2d.structures", module)
    boxes = [[BBox(i, *box) for box in frame] for i, frame in enumerate(BOXES)]
    return {"ret_bboxes": boxes, "ret_scores": SCORES}


def check(found: Detections) -> None:
    assert found.counts.tolist() == [1, 0, 2]
    assert found.best.tolist() == [0.5, 0.0, 0.9]
    boxes, scores = found.frame(2)
    assert boxes.tolist() == BOXES[2] and scores.tolist() == SCORES[2]


def test_nothing_at_all() -> None:
    empty = Detections.from_frames([], [])
    assert len(empty) == 0 and empty.best.tolist() == []


def put(folder: Path, detections: Detections) -> Path:
    """Into a result cache below the folder; the cache's own folder."""
    cache = ResultCache(folder, cache_key("vq2d"))
    path = caches.put(cache, "a_1", detections)
    assert caches.find(cache.folder, "a_1") == path
    return cache.folder


def test_a_result_cache_and_back(tmp_path: Path) -> None:
    check(caches.read(put(tmp_path, Detections.from_frames(BOXES, SCORES)), "a_1", 3))


def test_written_by_hand(tmp_path: Path) -> None:
    frames = [{"boxes": b, "scores": s} for b, s in zip(BOXES, SCORES, strict=False)]
    frames[2] = {"boxes": BOXES[2][::-1], "scores": SCORES[2][::-1]}  # any order is fine
    (tmp_path / "a_1.json").write_text(json.dumps({"frames": frames}))
    check(caches.read(tmp_path, "a_1", 3))


@pytest.mark.parametrize("form", ["archive", "older", "pickle"])
def test_official(tmp_path: Path, official_content: dict, form: str) -> None:
    path = tmp_path / "a_1.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(official_content))
    else:
        torch.save(official_content, path, _use_new_zipfile_serialization=form == "archive")
    check(caches.read(tmp_path, "a_1", 3))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return os.system, ("echo evil",)

    (tmp_path / "a_1.pt").write_bytes(pickle.dumps({"ret_bboxes": Evil(), "ret_scores": []}))
    with pytest.raises(EgolibError, match="refused"):
        caches.read(tmp_path, "a_1", 0)


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".json"])
def test_damaged(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a_1{suffix}").write_bytes(b"\x80nothing of the kind")
    with pytest.raises(EgolibError, match=f"a_1{suffix}"):
        caches.read(tmp_path, "a_1", 3)


def test_absent_and_of_another_length(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="run step 1"):
        caches.read(tmp_path, "a_1", 3)
    folder = put(tmp_path, Detections.from_frames(BOXES, SCORES))
    with pytest.raises(EgolibError, match="holds 3 frames, the query comes at frame 5"):
        caches.read(folder, "a_1", 5)


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    bad = Detections.from_frames([[[0, 0, 1, 1]]], [[np.nan]])
    folder = put(tmp_path, bad)
    with pytest.raises(EgolibError, match="finite"):
        caches.read(folder, "a_1", 1)


def test_unequal_numbers() -> None:
    with pytest.raises(EgolibError, match="unequal"):
        Detections.from_frames([[[0, 0, 1, 1]]], [[0.1, 0.2]])
