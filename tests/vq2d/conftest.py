"""A run on the tiny world, once for all tests that look at its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.vq2d.steps import data, figures, infer, train
from tests.vq2d.project import make_world, step


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("jobs") / "world")


@pytest.fixture(scope="session")
def runs(root: Path) -> Path:
    """A run up to the trained networks."""
    folder = root.parent / "runs"
    own = step("1_data", root, folder)
    data.check(own, data.prepare(own))
    training = step("2_train", root, folder)
    results = train.train(training)
    assert set(results) == {"detector", "tracker"}
    train.check(results)
    found = train.metrics(results)
    assert found["detector"]["updates"] == found["tracker"]["updates"] == 2
    schedule = train.make_schedule(training.config, 1)
    assert len(figures.training(results["detector"].records, schedule).axes) == 3
    return folder


@pytest.fixture(scope="session")
def answered(root: Path, runs: Path) -> Path:
    """The same after ``3_infer``."""
    own = step("3_infer", root, runs)
    predictions = infer.predict(own)
    infer.check(own, predictions)
    assert not predictions.undetected.reasons
    for split, found in predictions.answers.items():
        assert len(found.found) == len(predictions.queries[split].queries)
    counts = infer.metrics(predictions)
    assert counts["val"]["answered"] == len(predictions.queries["val"].queries)
    return runs
