"""Answers scored, ranked, swept and compared; their figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.steps import data, evaluate, figures
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_comparisons(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truth = evaluate.read_truth(later)
    assert len(evaluate.validate_files(later)) == 2
    main = truth[evaluate.main_split(truth)]
    replay = evaluate.read_predictions(later, truth)
    answers = evaluate.configured(later, replay)
    scored = evaluate.score(later, truth, answers)
    compared = evaluate.compare(later, replay, main, answers)
    ranked = evaluate.rankings(main, answers)
    swept = evaluate.sweep(later, replay, main)
    evaluate.check(compared)
    evaluate.check_ranking(ranked)
    assert {"configured", "single best detection", "reflect", "checked"} <= set(compared)
    found = evaluate.effects(ranked, compared)
    assert found["rank_height"]["recovery%"] == 0 and "tracking" in found
    assert list(swept["threshold"]) == [0.0, 0.9]
    numbers = evaluate.metrics(scored, ranked, compared, swept)
    assert set(numbers["sweep"]["threshold"]) == {"0", "0.9"} and numbers["effect"] == found
    assert evaluate.counts(truth)["val"]["queries"] == len(truth["val"].queries)
    assert len(figures.sweep(swept, evaluate.used(later)).axes) == 1
    assert figures.precision_bars(ranked).axes
    starts = evaluate.curve_examples(main, answers, 2)
    assert len(figures.score_curves(*starts).axes) == 2
    pair = evaluate.strip_examples(main, answers)[0]
    assert figures.response_strip(data.clips_folder(later), *pair).axes
    assert figures.queries(truth).axes
    assert len(evaluate.table(compared)) == len(compared)


def test_numbers_that_cannot_be_are_errors() -> None:
    row = {"tAP@0.25": 0.5, "stAP@0.25": 0.1, "recovery%": 3.0, "success%": 4.0}
    row |= {"p_temporal@0.25": 0.6, "p_spatio_temporal@0.25": 0.2}
    evaluate.check({"val": row})
    for name, value in (("tAP@0.25", 0.7), ("success%", 101.0)):
        with pytest.raises(EgolibError, match=name):
            evaluate.check({"val": row | {name: value}})
    with pytest.raises(EgolibError, match="ranking by height changed"):
        evaluate.check_ranking({"constant": row, "height": row | {"recovery%": 5.0}})
