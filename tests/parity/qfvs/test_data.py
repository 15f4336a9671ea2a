"""Queries, labels, tags, and F1 by matching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.metrics.summarization import match_summaries, tag_similarity
from egolib.vlp.data import qfvs
from tests.parity.recordings import auxiliary, read


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def queries(folder: Path, recorded: dict[str, Any], video: int) -> list[qfvs.Query]:
    config = recorded["config"]
    places = config["max_segment_num"] * config["max_frame_num"]
    shots = sum(recorded["segments"][str(video)])
    return qfvs.read_queries(folder, video, shots, places)


def ones(folder: Path, query: qfvs.Query, shots: int) -> list[list[int]]:
    """Shots that show the first and the second concept."""
    dense = qfvs.read_dense_tags(folder, query.video)
    labels = [qfvs.concept_labels(dense, concept, shots) for concept in query.concepts]
    return [np.flatnonzero(row).tolist() for row in labels]


@pytest.mark.recordings("data")
def test_items(recording: Path, tmp_path: Path) -> None:
    recorded = read(recording)
    write_files(tmp_path, recorded["files"])
    found = [q for video in recorded["segments"] for q in queries(tmp_path, recorded, int(video))]
    assert [q.name for q in found] == [item["name"] for item in recorded["items_sorted"]]
    for query, item in zip(found, recorded["items_sorted"], strict=True):
        shots = sum(recorded["segments"][item["video"]])
        assert shots == item["shots"] and str(query.video) == item["video"]
        assert list(query.prompts) == item["prompts"]
        assert list(query.oracle) == item["oracle"]
        assert ones(tmp_path, query, shots) == [item["concept1"], item["concept2"]]


@pytest.mark.recordings("data")
def test_further_files_of_video_2(recording: Path, tmp_path: Path) -> None:
    recorded = read(recording)
    assert recorded["bad_files_of_video_2"]
    for number, bad in enumerate(recorded["bad_files_of_video_2"]):
        folder = tmp_path / str(number)
        oracle = f"Query-Focused_Summaries/Oracle_Summaries/P02/{bad['file']}"
        write_files(folder, recorded["files"] | {oracle: bad["text"]})
        if "error" in bad:
            with pytest.raises(EgolibError, match=bad["file"]):
                queries(folder, recorded, 2)
            continue
        (query,) = (q for q in queries(folder, recorded, 2) if q.name == bad["name"])
        assert list(query.oracle) == bad["oracle"]
        counts = [len(places) for places in ones(folder, query, sum(recorded["segments"]["2"]))]
        assert counts == [bad["concept1_count"], bad["concept2_count"]]


# ------------------------------------------------------------------------------ tags


@pytest.mark.recordings("tags")
def test_tags(recording: Path) -> None:
    found = qfvs.read_tags(recording)
    name = recording.name.replace("Tags", "matching").replace(".mat", ".npz")
    recorded = read(auxiliary(recording, name))
    for video, matrix in enumerate(found):
        np.testing.assert_array_equal(matrix, recorded[f"tags_{video}"])
    assert f"tags_{len(found)}" not in recorded


@pytest.mark.recordings("matching")
def test_matching(recording: Path) -> None:
    recorded = read(recording)
    meta = json.loads(str(recorded["meta"]))
    assert meta["cases"]
    for case in meta["cases"]:
        tags = recorded[f"tags_{case['video']}"]
        if "error" in case:
            with pytest.raises(EgolibError):
                match_summaries(case["machine"], case["truth"], tags)
            continue
        found = match_summaries(case["machine"], case["truth"], tags)
        for name in ("precision", "recall", "f1"):
            np.testing.assert_allclose(
                getattr(found, name), case[name], rtol=0, atol=1e-9, err_msg=str(case)
            )
    tags = recorded["tags_0"]
    similarity = tag_similarity(tags[0:36:5], tags[0:36:7])
    np.testing.assert_allclose(similarity, meta["iou_rows_step_5_columns_step_7"], atol=1e-12)
