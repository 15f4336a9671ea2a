"""Step 2 once more, from caches and kept tracks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from egolib.vq2d.formats.submission import build_submission
from egolib.vq2d.localization import settings
from egolib.vq2d.steps import evaluate, infer
from tests.vq2d.project import step

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vq2d_steps")]


def test_a_replay_equals_step_2(root: Path, answered: Path) -> None:
    later = step("4_evaluate", root, answered)
    truth = evaluate.read_truth(later)
    assert set(truth) == {"val", "test", "val_test"}
    assert len(evaluate.validate_files(later)) == 2
    replay = evaluate.read_predictions(later, truth)
    for tracker in replay.tracks.values():
        tracker.tracker = None  # every track was followed by 3_infer
    answers = replay.answers(settings.configured(later.config))
    own = step("3_infer", root, answered)
    for split, content in infer.read_queries(own).items():
        known = {query.key for query in content.queries}
        tracks = {k: a.track for k, a in answers.found.items() if k in known}
        rebuilt = build_submission(content, tracks)
        assert rebuilt == json.loads((own.out / f"{split}.json").read_text())


def test_a_new_start_is_followed_into_its_own_folder(root: Path, answered: Path) -> None:
    """A grid over the peaks loads the tracker for starts that nobody followed, no detector."""
    changes = {"evaluate": {"peaks": {"threshold": 0.0, "distance": 1, "width": 0}}}
    later = step("4_evaluate", root, answered, changes)
    replay = evaluate.read_predictions(later, evaluate.read_truth(later))
    tracks = answered / "3_infer" / "tracks"
    before = {p: p.read_bytes() for p in tracks.rglob("*.json")}
    found = replay.answers(settings.configured(later.config))
    assert len(found.found) == len(replay.jobs)
    assert before and before == {p: p.read_bytes() for p in tracks.rglob("*.json")}
