"""Evaluation against the recorded official numbers (1e-12)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.metrics.box_tracks import pack_tracks
from egolib.metrics.visual_query import Queries, Scores, evaluate, evaluate_pairings, score_order
from egolib.vq2d.data.annotations import from_content
from egolib.vq2d.evaluation import evaluate_content, load_queries
from tests.parity.recordings import read

PAIRINGS = {
    "all": ("all", "all"),
    "medium": ("medium", "medium"),
    "large": ("all", "large"),
    "none": ("medium", "large"),
}


def close(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def check_precision(scores: Scores, expected: dict) -> None:
    close(scores.temporal.values, expected["temporal_ap"])
    close(scores.temporal.values.mean(), expected["temporal_ap_mean"])
    close(scores.spatio_temporal.values, expected["spatio_temporal_ap"])
    close(scores.spatio_temporal.values.mean(), expected["spatio_temporal_ap_mean"])


def check_all(queries: Queries, expected: dict, ties) -> None:
    check_precision(evaluate(queries, ties=ties), expected)
    for several in ("max_score", "max_stiou"):
        scores = evaluate(queries, ties=ties, several=several)
        # percentages: 1e-12 relative to 1
        close(scores.recovery / 100, np.array(expected[f"recovery_take_{several}"]) / 100)
        close(scores.success / 100, np.array(expected[f"success_take_{several}"]) / 100)


def check_report(queries: Queries, report: dict | None, same_sorting: bool) -> None:
    """The report on the recorded pairings of areas, where there is one."""
    if report is None:
        return
    found = evaluate_pairings(queries, PAIRINGS)
    assert found.keys() == report.keys()
    for name, scores in found.items():
        t, s = scores.temporal.values, scores.spatio_temporal.values
        precision = [t.mean(), t[0], s.mean(), s[0]]
        rest = [scores.recovery[0] / 100, scores.success[0] / 100]
        if scores.search_efficiency is not None:
            rest.append(scores.search_efficiency / 100)
        expected = list(report[name].values())
        if same_sorting:
            close(precision, expected[:4])
        close(rest, np.array(expected[4:]) / 100)


@pytest.mark.recordings("metrics")
def test_files(recording: Path) -> None:
    """Numbers of official files, or of lists with several predictions a query.

    Official files: in the recorded order, in file order, in an older library's order.
    """
    case = read(recording)
    expected = case["expected"]
    if "queries" in case:
        queries = from_lists(case["queries"])
        check_all(queries, expected, expected.get("score_order", "official"))
        check_report(queries, expected.get("report"), same_order(queries, expected))
        return
    annotations = from_content(case["gt"])
    queries = load_queries(annotations, case["pred"])
    assert len(queries.truth) == expected["n_queries"]
    check_all(queries, expected, expected["score_order"])
    if "ties_in_file_order" in expected:
        check_all(queries, expected["ties_in_file_order"], "file")
    if "older_numpy_order" in expected:
        older = expected["older_numpy_order"]
        check_all(queries, older, older["score_order"])
    same = same_order(queries, expected)
    check_report(queries, expected.get("report"), same)
    if same:
        check_precision(evaluate_content(annotations, case["pred"]), expected)


def same_order(queries: Queries, expected: dict) -> bool:
    """Whether this library sorts ties as the recorded one did, or there are none.

    The recorded order of ties is that of one sorting routine; a subset's is not recorded.
    """
    order, recorded = score_order(queries.scores), expected.get("score_order")
    return len(set(queries.scores)) == len(queries.scores) or order.tolist() == recorded


@pytest.mark.recordings("metrics")
def test_printed(recording: Path) -> None:
    """The six numbers as the official console shows them, where they are recorded."""
    case = read(recording)
    if "printed" not in case["expected"]:
        return
    queries = load_queries(from_content(case["gt"]), case["pred"])
    table = evaluate(queries, ties=case["expected"]["score_order"]).table()
    names = ["tAP", "tAP@0.25", "stAP", "stAP@0.25", "success%", "recovery%"]
    found = [f"{table[name]:.3f}" for name in names]
    assert found == list(case["expected"]["printed"].values())


def from_lists(items: list[dict]) -> Queries:
    predictions = [(i, p) for i, item in enumerate(items) for p in item["pred"]]
    crops = [item["visual_crop"] for item in items]
    return Queries(
        pack([item["gt"] for item in items]),
        pack([p["bboxes"] for _, p in predictions]),
        np.array([i for i, _ in predictions]),
        np.array([p["score"] for _, p in predictions]),
        np.array([(c["x2"] - c["x1"]) * (c["y2"] - c["y1"]) for c in crops]),
        *(optional(items, name) for name in ("accessed", "total")),
    )


def optional(items: list[dict], name: str) -> np.ndarray | None:
    """A number of every query, where the recording has it."""
    return np.array([item[name] for item in items]) if name in items[0] else None


def pack(tracks: list[list[dict]]):
    names = ("fno", "x1", "y1", "x2", "y2")
    rows = [[box[name] for name in names] for track in tracks for box in track]
    return pack_tracks(np.array(rows), [len(track) for track in tracks])
