"""Answers scored, ranked, swept and compared; their figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.vq2d.localization import settings
from egolib.vq2d.steps import data, evaluate, figures
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_comparisons(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truths = evaluate.read_truths(later)
    main = evaluate.main_split(truths)
    replay = evaluate.open_replay(later, truths)
    answers = replay.answers(settings.configured(later.config))
    compared = evaluate.compare(later, replay, truths[main], answers)
    ranked = evaluate.rankings(truths[main], answers)
    swept = evaluate.sweep(later, replay, truths[main])
    evaluate.require_sane([*ranked.values(), *compared.values()])
    assert {"configured", "single best detection", "reflect", "checked"} <= set(compared)
    found = evaluate.effects(ranked, compared)
    assert found["rank_height"]["recovery%"] == 0 and "tracking" in found
    assert list(swept["threshold"]) == [0.0, 0.9]
    assert set(evaluate.sweep_metrics(swept)["threshold"]) == {"0", "0.9"}
    assert len(figures.sweep(swept, evaluate.used(later)).axes) == 1
    assert figures.precision_bars(ranked).axes
    starts = evaluate.curve_examples(truths[main], answers, 2)
    assert len(figures.score_curves(*starts).axes) == 2
    pair = evaluate.strip_examples(truths[main], answers)[0]
    assert figures.response_strip(data.clips_folder(later), *pair).axes
    assert figures.queries(truths).axes
    assert len(evaluate.table(compared)) == len(compared)
