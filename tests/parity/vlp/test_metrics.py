"""EgoMCQ, EPIC-KITCHENS-100 retrieval and Charades-Ego metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from egolib.metrics.multiple_choice import KINDS, accuracy_by_kind, egomcq_accuracy
from egolib.metrics.retrieval import (
    average_precision,
    charades_metrics,
    clips_by_sentences,
    multi_label_precision,
    ndcg,
    retrieval_metrics,
)
from tests.parity.recordings import read, recipe, stream

EXACT = {"rtol": 0, "atol": 1e-10}


def cases(recorded: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The recorded arrays by case, under their names without it."""
    names = sorted({name.split("/")[0] for name in recorded if "/" in name})
    assert names
    return {
        case: {
            name.removeprefix(f"{case}/"): v
            for name, v in recorded.items()
            if name.startswith(f"{case}/")
        }
        for case in names
    }


@pytest.mark.recordings("charades")
def test_charades(recording: Path) -> None:
    for case in cases(read(recording)).values():
        scores, target = case["scores"], case["target"]
        classes = multi_label_precision(scores, target)
        np.testing.assert_allclose(classes, case["ap"], **EXACT)
        share = target.sum(0) / target.sum()
        np.testing.assert_allclose(classes * share, case["weighted_ap"], **EXACT)
        metrics = charades_metrics(scores, target)
        np.testing.assert_allclose(metrics["mAP"], case["mAP"], **EXACT)


@pytest.mark.recordings("ek100")
def test_ek100(recording: Path) -> None:
    for case in cases(read(recording)).values():
        similarity, relevancy = case["sim"], case["relevancy"]
        np.testing.assert_allclose(ndcg(similarity, relevancy), case["ndcg_v2t_each"], **EXACT)
        np.testing.assert_allclose(ndcg(similarity.T, relevancy.T), case["ndcg_t2v_each"], **EXACT)
        precision = [
            average_precision(s, r).mean()
            for s, r in ((similarity, relevancy), (similarity.T, relevancy.T))
        ]
        np.testing.assert_allclose(precision, case["mAP"], **EXACT)
        whole = clips_by_sentences(case["loader_sims"], case["loader_index"], case["sentence_rows"])
        results = retrieval_metrics(whole, relevancy)
        assert {f"result/{name}" for name in results} <= case.keys()
        for name, value in results.items():
            np.testing.assert_allclose(value, case[f"result/{name}"], **EXACT, err_msg=name)


@pytest.mark.recordings("egomcq")
def test_egomcq(recording: Path) -> None:
    """The recording keeps answers, kinds and results. The scores of the matching head are
    drawn again from the stream that answers and kinds came from; for the other two kinds
    of score, which cannot be drawn again, scores with as many right answers are made."""
    recorded = read(recording)
    prefix = recipe(recording)["streams"]
    for name, case in cases(recorded).items():
        answers, kinds = case["answer"], case["type"]
        fusion = drawn_scores(f"{prefix}/mcq/{name}", answers, kinds)
        accuracy = egomcq_accuracy(np.zeros_like(fusion), fusion, answers, kinds)
        np.testing.assert_allclose(list(accuracy["fusion"].values()), case["vtm"], **EXACT)
        for result in ("vtc", "ensemble"):
            scores = scores_with_accuracy(case[result], answers, kinds)
            accuracy = egomcq_accuracy(scores, None, answers, kinds)
            assert list(accuracy["dual"]) == list(KINDS.values())
            np.testing.assert_allclose(list(accuracy["dual"].values()), case[result], **EXACT)
    check_one_kind(recorded, prefix)


def check_one_kind(recorded: dict[str, Any], prefix: str) -> None:
    """All questions of kind 2: officially reported as the first name; -1 is an absent one."""
    answers, kinds = recorded["1/answer"], recorded["1/type"]
    fusion = drawn_scores(f"{prefix}/mcq/1", answers, kinds)
    found = accuracy_by_kind(fusion, answers, np.full_like(kinds, 2))
    named = [found.get(name, -1.0) for name in KINDS.values()]
    np.testing.assert_allclose(named, recorded["only_type2"], **EXACT)
    straight = accuracy_by_kind(fusion, answers, np.full_like(kinds, 2), names="by_value")
    assert list(straight) == [KINDS[2]]


def drawn_scores(name: str, answers: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The matching scores; the stream must give the recorded answers and kinds after them."""
    rng = stream(name)
    shape = (len(answers), 5)
    rng.random(shape)
    fusion = rng.random(shape)
    np.testing.assert_array_equal(rng.integers(0, 5, len(answers)), answers)
    np.testing.assert_array_equal(rng.integers(1, 3, len(kinds)), kinds)
    return fusion


def scores_with_accuracy(
    accuracies: np.ndarray, answers: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Scores whose first maximum is right as often as recorded, for kinds 1 and 2."""
    scores = np.zeros((len(answers), 5))
    chosen = (answers + 1) % 5
    for kind, accuracy in zip((1, 2), accuracies):
        rows = np.flatnonzero(kinds == kind)
        right = accuracy * len(rows) / 100
        assert abs(right - round(right)) < 1e-9, "a number of questions"
        chosen[rows[: round(right)]] = answers[rows[: round(right)]]
    scores[np.arange(len(answers)), chosen] = 1
    return scores
