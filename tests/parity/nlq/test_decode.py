"""Suppression and decoding against recorded calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.nlq.config import DataConfig, InferConfig
from egolib.nlq.localization.decode import candidates, decode
from egolib.nn.points import pyramid_lengths
from egolib.ops.segments import Suppression, soft_nms, suppress
from tests.parity.nlq.networks import meta
from tests.parity.recordings import read, recipe, stream

LENGTHS = pyramid_lengths(2560, 7)
DECAYS = ("hard", "linear", "gaussian")
OPERATOR = {"iou_threshold": 0.3, "sigma": 0.5, "min_score": 0.02}  # as meta["op"] says in words
SUPPRESSION = {
    "test_max_seg_num": "max_segments",
    "test_nms_method": "method",
    "test_multiclass_nms": "per_class",
}
INFER = {
    "test_pre_nms_topk": "candidates_per_level",
    "test_duration_thresh": "duration_threshold",
    "test_pre_nms_thresh": "score_threshold",
}


@pytest.mark.recordings("nms")
def test_suppress(recording: Path) -> None:
    recorded = read(recording)
    for case, options in meta(recorded)["cases"].items():
        scores = recorded[f"{case}/in_scores"]
        labels = recorded.get(f"{case}/in_labels", np.zeros(len(scores), np.int64))
        inputs = (recorded[f"{case}/in_segments"], scores, labels)
        kept = recorded[f"{case}/scores"]
        labels = recorded.get(f"{case}/labels", np.zeros(len(kept), np.int64))
        expected = (recorded[f"{case}/segments"], kept, labels)
        if options["max_seg_num"] < 1:  # an error here; its official result is empty
            assert len(expected[1]) == 0
            continue
        settings = Suppression(
            method="soft" if options["use_soft_nms"] else "hard",
            iou_threshold=options["iou_threshold"],
            min_score=options["min_score"],
            sigma=options["sigma"],
            max_segments=options["max_seg_num"],
            per_class=options["multiclass"],
            voting_threshold=options["voting_thresh"],
        )
        tied = len(np.unique(inputs[1])) < len(inputs[1])
        cut = tied and len(expected[1]) == settings.max_segments
        check(suppress(*inputs, settings), expected, cut, case)


def check(found: tuple, expected: tuple, cut: bool, case: str) -> None:
    """Equal to 1e-6 in this order; among equal scores, whose official order comes from an
    unstable sort, entries are compared as sets. Times above 1 are float32 values that may
    differ in their last place: 1e-6 of their magnitude.

    Args:
        found: segments, scores and labels.
        expected: the same, as recorded.
        case: its name, for messages.
        cut: the result may have been cut in the middle of a group of equal scores.
    """
    (segments, scores, labels), (true_segments, true_scores, true_labels) = found, expected
    assert segments.shape == true_segments.shape, case
    np.testing.assert_allclose(scores, true_scores, rtol=0, atol=1e-6, err_msg=case)
    groups = np.split(np.arange(len(scores)), np.flatnonzero(np.diff(-true_scores) > 1e-7) + 1)
    groups = groups[:-1] if cut and len(groups) > 1 else groups
    for group in groups:
        a, b = rows(segments[group], labels[group]), rows(true_segments[group], true_labels[group])
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6, err_msg=case)


def rows(segments: np.ndarray, labels: np.ndarray) -> np.ndarray:
    table = np.column_stack([segments, labels])
    return table[np.lexsort(table.T)]


@pytest.mark.recordings("nms")
def test_operator(recording: Path) -> None:
    recorded = read(recording)
    for method, decay in enumerate(DECAYS):
        case = f"op_method{method}"
        if f"{case}/in_segments" not in recorded:
            continue
        index, scores = soft_nms(
            recorded[f"{case}/in_segments"],
            recorded[f"{case}/in_scores"],
            decay=decay,  # type: ignore[arg-type]
            **OPERATOR,
        )
        np.testing.assert_array_equal(index, recorded[f"{case}/indices"])
        found = np.column_stack([recorded[f"{case}/in_segments"][index], scores])
        np.testing.assert_allclose(found, recorded[f"{case}/dets"], rtol=0, atol=1e-6)


@pytest.mark.recordings("nms")
def test_stopping_early_changes_nothing(recording: Path) -> None:
    recorded = read(recording)
    for case, options in meta(recorded)["cases"].items():
        segments, scores = recorded[f"{case}/in_segments"], recorded[f"{case}/in_scores"]
        settings: dict[str, Any] = {"sigma": options["sigma"], "min_score": options["min_score"]}
        index, decayed = soft_nms(segments, scores, **settings)
        for limit in (1, 5, 50):
            first, first_decayed = soft_nms(segments, scores, limit=limit, **settings)
            np.testing.assert_array_equal(first, index[:limit])
            np.testing.assert_array_equal(first_decayed, decayed[:limit])


@pytest.mark.recordings("decode")
def test_decode(recording: Path) -> None:
    recorded = read(recording)
    for case, about in meta(recorded)["cases"].items():
        infer = settings_of(about["attrs"])
        name = f"{recipe(recording)['decode_stream']}/{case}"
        scores, offsets = drawn(name, len(about["videos"]), about["amp"], about["bias"])
        for row, video in enumerate(about["videos"]):
            valid = [
                np.arange(n) < v
                for n, v in zip(LENGTHS, pyramid_lengths(video["valid"], 7), strict=False)
            ]
            masked = scores[row] * np.concatenate(valid)[:, None]
            check_candidates(masked, offsets[row], infer, recorded, f"{case}/{row}")
            segments, kept, _ = decode(
                masked, offsets[row], LENGTHS, video["duration"], infer, DataConfig()
            )
            for found, kind in ((segments, "segments"), (kept, "scores")):
                expected = recorded[f"{case}/{row}/{kind}"]
                np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
                np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def settings_of(options: dict[str, Any]) -> InferConfig:
    assert options.keys() <= SUPPRESSION.keys() | INFER.keys()
    inner = {SUPPRESSION[k]: v for k, v in options.items() if k in SUPPRESSION}
    outer = {INFER[k]: v for k, v in options.items() if k in INFER}
    return replace(InferConfig(suppression=replace(Suppression(), **inner)), **outer)


def drawn(name: str, count: int, amplitude: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and offsets of a named stream."""
    rng, points = stream(name), sum(LENGTHS)
    logits = (rng.standard_normal((count, points, 1)) * amplitude + bias).astype(np.float32)
    offsets = np.maximum(rng.standard_normal((count, points, 2)) * 2 + 1, 0).astype(np.float32)
    return torch.from_numpy(logits).sigmoid().numpy(), offsets


def check_candidates(
    scores: np.ndarray, offsets: np.ndarray, infer: InferConfig, recorded: dict, case: str
) -> None:
    found = candidates(scores, offsets, LENGTHS, infer)
    if f"{case}/candidates" in recorded:
        assert len(found.scores) == recorded[f"{case}/candidates"][0]
    sums = [found.segments.sum(dtype=np.float64), found.scores.sum(dtype=np.float64)]
    if f"{case}/cand_sum" in recorded:
        np.testing.assert_allclose(sums, recorded[f"{case}/cand_sum"], rtol=1e-5)
    if f"{case}/cand_first" in recorded:
        first = np.column_stack([found.segments, found.scores])[:20]
        np.testing.assert_allclose(first, recorded[f"{case}/cand_first"], rtol=1e-6, atol=1e-5)
