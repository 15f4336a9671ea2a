"""Answers scored, ranked, swept and compared; their figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.vq2d import figures, prepare, scores, settings
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_comparisons(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truths = scores.read_truths(later)
    main = scores.main_split(truths)
    replay = scores.open_replay(later, truths)
    answers = replay.answers(settings.configured(later.config))
    compared = scores.compare(later, replay, truths[main], answers)
    ranked = scores.rankings(truths[main], answers)
    swept = scores.sweep(later, replay, truths[main])
    scores.require_sane([*ranked.values(), *compared.values()])
    assert {"configured", "single best detection", "reflect", "checked"} <= set(compared)
    found = scores.effects(ranked, compared)
    assert found["rank_height"]["recovery%"] == 0 and "tracking" in found
    assert list(swept["threshold"]) == [0.0, 0.9]
    assert set(scores.sweep_metrics(swept)["threshold"]) == {"0", "0.9"}
    assert len(figures.sweep(swept, scores.used(later)).axes) == 1
    assert figures.precision_bars(ranked).axes
    starts = scores.curve_examples(truths[main], answers, 2)
    assert len(figures.score_curves(*starts).axes) == 2
    pair = scores.strip_examples(truths[main], answers)[0]
    assert figures.response_strip(prepare.clips_folder(later), *pair).axes
    assert figures.queries(truths).axes
    assert len(scores.table(compared)) == len(compared)
