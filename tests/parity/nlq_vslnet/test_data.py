"""Preparation, cells, merging, decoding and metrics, as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.data.truth import make_truth
from egolib.nlq.data.vslnet.cells import cell_borders, highlight_labels, to_cells, to_seconds
from egolib.nlq.data.vslnet.questions import prepare
from egolib.nlq.data.vslnet.resampling import merge
from egolib.nlq.evaluation import evaluate
from egolib.nlq.models.vslnet.decode import best_pairs
from egolib.ops.segments import hull_iou
from tests.parity.recordings import normal, read


def meta(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(str(arrays["meta"]))


@pytest.mark.recordings("prepare")
def test_prepared_files(recording: Path) -> None:
    recorded = read(recording)
    assert recorded
    for split in recorded.values():
        prepared, clips = prepare(split["official"])
        assert prepared == split["formatted"]
        assert list(prepared) == list(split["formatted"])
        assert clips == split["clips"]


def recorded_cases(recording: Path, kind: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = meta(read(recording)).get(kind, [])
    if not cases:
        pytest.skip(f"no case of {kind} was recorded")
    return cases


@pytest.mark.recordings("labels")
def test_times_to_cells_and_back(recording: Path) -> None:
    for case in recorded_cases(recording, "times"):
        window, units, duration = (case["start"], case["end"]), case["units"], case["duration"]
        start, end = to_cells(*window, units, duration)
        assert (start, end) == (case["start_index"], case["end_index"])
        borders = cell_borders(units, duration)
        overlap = np.nan_to_num(hull_iou(borders[[start, end + 1]], np.array(window)))
        assert overlap == pytest.approx(case["best"], abs=1e-6)
        np.testing.assert_allclose(
            to_seconds([start], [end], units, duration)[0], case["back"], rtol=0, atol=1e-5
        )


@pytest.mark.recordings("labels")
def test_highlights(recording: Path) -> None:
    for case in recorded_cases(recording, "highlight"):
        padded = max(case["lengths"])
        rows = zip(case["lengths"], case["start"], case["end"], case["ones"], strict=True)
        for length, start, end, (first, last) in rows:
            labels = highlight_labels(start, end, length, padded)
            assert labels.shape == (padded,)
            np.testing.assert_array_equal(np.flatnonzero(labels), np.arange(first, last + 1))


@pytest.mark.recordings("labels")
def test_merged_features(recording: Path) -> None:
    recorded = read(recording)
    tag = meta(recorded)["tag"]
    names = [name for name in recorded if name != "meta"]
    if not names:
        pytest.skip("no merged features were recorded")
    for name in names:
        count, most = map(int, name.split("_"))
        features = normal(f"{tag}/sampling/{name}", (count, recorded[name].shape[1]))
        np.testing.assert_allclose(merge(features, most), recorded[name], rtol=0, atol=1e-6)


@pytest.mark.recordings("extract")
def test_pairs(recording: Path, device: str) -> None:
    recorded = read(recording)
    about = meta(recorded)
    assert about["cases"]
    for case in about["cases"]:
        name, shape = case["case"], (case["batch"], case["length"])
        behind = np.arange(case["length"]) >= np.reshape(case["valid"], (-1, 1))
        start, end = (
            torch.from_numpy(
                np.where(behind, -1e30, 3 * normal(f"{about['tag']}/extract/{name}/{part}", shape))
            ).float()
            for part in ("start", "end")
        )
        count = recorded[f"{name}|start"].shape[1]
        for row, pairs in enumerate(best_pairs(start.to(device), end.to(device), count)):
            expected = recorded[f"{name}|probability"][row]
            np.testing.assert_allclose(pairs.probability, expected, rtol=1e-6, atol=0)
            likely = expected > 0
            for part in ("start", "end"):
                theirs = recorded[f"{name}|{part}"][row]
                np.testing.assert_array_equal(getattr(pairs, part)[likely], theirs[likely])


@pytest.mark.recordings("extract")
def test_two_positions(recording: Path) -> None:
    """What stops the official code is a clear error here."""
    assert meta(read(recording)).get("two_positions", "RuntimeError") == "RuntimeError"
    with pytest.raises(EgolibError, match="only_valid"):
        best_pairs(torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.recordings("metrics")
def test_metrics(recording: Path) -> None:
    recorded = read(recording)
    found = evaluate(
        recorded["predictions"],
        make_truth(recorded["truth"]),
        thresholds=recorded["thresholds"],
        top_k=recorded["top"],
    )
    np.testing.assert_allclose(found.recall.values, recorded["recall"], rtol=0, atol=1e-9)
    if "mean_iou" in recorded:
        assert found.recall.mean_iou == pytest.approx(recorded["mean_iou"], abs=1e-9)
