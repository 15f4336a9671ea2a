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
from tests.parity.vlp.cases import cases

EXACT = {"rtol": 0, "atol": 1e-10}


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
    """The recording keeps answers, kinds and results; the scores are drawn again."""
    recorded = read(recording)
    prefix = recipe(recording)["streams"]
    for name, case in cases(recorded).items():
        answers, kinds = case["answer"], case["type"]
        dual, fusion = scores_of(case, f"{prefix}/mcq/{name}")
        accuracy = egomcq_accuracy(dual, fusion, answers, kinds)
        for ours, theirs in (("dual", "vtc"), ("fusion", "vtm"), ("ensemble", "ensemble")):
            assert list(accuracy[ours]) == list(KINDS.values())
            found = list(accuracy[ours].values())
            np.testing.assert_allclose(found, case[theirs], **EXACT, err_msg=theirs)
    if "only_type2" in recorded:
        check_one_kind(recorded, prefix)


def check_one_kind(recorded: dict[str, Any], prefix: str) -> None:
    """All questions of kind 2: officially reported as the first name; -1 is an absent one."""
    found = cases(recorded)
    name = "1" if "1" in found else min(found)
    case = found[name]
    answers, kinds = case["answer"], case["type"]
    _, fusion = scores_of(case, f"{prefix}/mcq/{name}")
    found = accuracy_by_kind(fusion, answers, np.full_like(kinds, 2))
    named = [found.get(name, -1.0) for name in KINDS.values()]
    np.testing.assert_allclose(named, recorded["only_type2"], **EXACT)
    straight = accuracy_by_kind(fusion, answers, np.full_like(kinds, 2), names="by_value")
    assert list(straight) == [KINDS[2]]


def scores_of(case: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores that a case holds itself; else those that its stream gives."""
    if "vtc_scores" in case:
        return case["vtc_scores"], case["vtm_scores"]
    return drawn_scores(name, case["answer"], case["type"])


def drawn_scores(
    name: str, answers: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Dual and matching scores; the stream must give the recorded answers and kinds too."""
    rng, count = stream(name), len(answers)
    dual, fusion = 2 * rng.random((count, 5)) - 1, rng.random((count, 5))
    np.testing.assert_array_equal(rng.integers(0, 5, count), answers)
    np.testing.assert_array_equal(rng.integers(1, 3, count), kinds)
    lucky = rng.random(count) < 0.6
    dual[lucky, answers[lucky]] += 0.5
    return dual, fusion
