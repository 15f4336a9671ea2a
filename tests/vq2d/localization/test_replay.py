"""Step 2 once more, from caches and remembered tracks."""

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
    truths = evaluate.read_truths(later)
    assert set(truths) == {"val", "test", "val_test"}
    assert len(evaluate.validate_files(later)) == 2
    replay = evaluate.open_replay(later, truths)
    replay._make_tracker = None  # every track was followed by 3_infer
    answers = replay.answers(settings.configured(later.config))
    own = step("3_infer", root, answered)
    for split, content in infer.splits_to_answer(own).items():
        known = {query.key for query in content.queries}
        tracks = {k: a.track for k, a in answers.found.items() if k in known}
        rebuilt = build_submission(content, tracks)
        assert rebuilt == json.loads((own.out / f"{split}.json").read_text())


def test_a_new_start_is_followed_into_its_own_folder(root: Path, answered: Path) -> None:
    """A grid over the peaks loads the tracker for starts that nobody followed, no detector."""
    changes = {"evaluate": {"peaks": {"threshold": 0.0, "distance": 1, "width": 0}}}
    later = step("4_evaluate", root, answered, changes)
    truths = evaluate.read_truths(later)
    replay = evaluate.open_replay(later, truths)
    before = {p: p.read_bytes() for p in (answered / "3_infer" / "tracks").glob("*.json")}
    found = replay.answers(settings.configured(later.config))
    assert len(found.found) == len(replay.jobs)
    assert before == {p: p.read_bytes() for p in (answered / "3_infer" / "tracks").glob("*.json")}
