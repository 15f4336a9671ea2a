"""A run on the tiny world, once for all tests that look at its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.vq2d.steps import data, evaluate, figures, infer, train
from tests.vq2d.project import make_world, step


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("jobs") / "world")


@pytest.fixture(scope="session")
def runs(root: Path) -> Path:
    """A run up to the trained networks."""
    folder = root.parent / "runs"
    own = step("1_data", root, folder)
    data.cut(own, data.read_splits(own))
    training = step("2_train", root, folder)
    results = train.train(training)
    assert set(results) == {"detector", "tracker"}
    found = train.summary(results)
    assert found["detector"]["updates"] == found["tracker"]["updates"] == 2
    assert len(figures.losses(results["detector"].records).axes) == 2
    return folder


@pytest.fixture(scope="session")
def answered(root: Path, runs: Path) -> Path:
    """The same after ``3_infer``."""
    own = step("3_infer", root, runs)
    folder, skipped = infer.detect(own)
    answers = infer.follow(own, folder)
    assert not skipped.reasons
    splits = infer.splits_to_answer(own)
    for split, found in answers.items():
        assert len(found.found) == len(splits[split].queries)
    counts = evaluate.summary(answers)
    assert counts["val"]["answered"] == len(splits["val"].queries)
    return runs
