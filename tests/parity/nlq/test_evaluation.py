"""Scores and ensembles, equal to the official evaluators' and the official ensemble's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from egolib.nlq.data.truth import read_truth
from egolib.nlq.evaluation import Evaluation, evaluate
from egolib.nlq.localization.ensemble import ensemble, list_nms
from egolib.ops.segments import hull_iou
from tests.parity.recordings import read

COMMAND_LINE = {"thresholds": (0.3, 0.5, 0.01), "top_k": (1, 3, 5)}


def test_official_evaluators(real_dir: Path) -> None:
    folder = real_dir / "nlq" / "eval"
    truth = read_truth(real_dir / "nlq" / "sample" / "nlq_val.json")
    expected = json.loads((folder / "expected.json").read_text())
    assert expected
    for name, values in expected.items():
        results = read(folder / f"predictions_{name}.json.gz")["results"]
        check(evaluate(results, truth), values["recall_fraction"], values)
        wide = evaluate(results, truth, **COMMAND_LINE)  # type: ignore[arg-type]
        for evaluator in ("vslnet", "repo_eval"):
            check(wide, values[f"{evaluator}_recall"], values)
            assert wide.recall.mean_iou == pytest.approx(values[f"{evaluator}_mIoU"], abs=1e-9)


def check(found: Evaluation, recall: list, values: dict) -> None:
    np.testing.assert_allclose(found.recall.values, recall, rtol=0, atol=1e-9)
    assert (found.evaluated, found.questions) == (values["n"], values["n_gt"])


def test_official_iou(real_dir: Path) -> None:
    recorded = read(real_dir / "nlq" / "eval" / "iou.npz")
    found = hull_iou(recorded["gt"][:, None], recorded["pred"][None])
    np.testing.assert_allclose(found, recorded["iou"], rtol=0, atol=1e-9)


@pytest.mark.recordings("ensemble")
def test_ensemble(recording: Path) -> None:
    models = sorted(recording.parent.glob("model*.json.gz"))
    found = ensemble([read(model)["results"] for model in models])
    expected = read(recording)["results"]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=False):
        np.testing.assert_allclose(
            ours.pop("predicted_times"), theirs["predicted_times"], atol=1e-9
        )
        assert ours == {k: v for k, v in theirs.items() if k != "predicted_times"}


@pytest.mark.recordings("list_nms")
def test_list_nms(recording: Path) -> None:
    for call in read(recording):
        found = list_nms(call["predictions"], call["nms_thd"], call["max_after_nms"])
        np.testing.assert_allclose(found, call["output"], rtol=0, atol=1e-9)
