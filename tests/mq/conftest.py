"""Data and a short run on it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.mq.steps import data, evaluate, infer, train
from tests.mq.project import make_root, step


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("mq"))


@pytest.fixture(scope="session")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all four steps, finished as the notebooks finish them."""
    folder = tmp_path_factory.mktemp("runs")
    one = step("1_data", root, folder)
    prepared = data.prepare(one)
    data.check(one, prepared)
    one.finish(data.metrics(prepared), data=data.counts(prepared))
    two = step("2_train", root, folder)
    result = train.train(two)
    train.check(result)
    two.finish(train.metrics(result), data={})
    three = step("3_infer", root, folder)
    predictions = infer.predict(three)
    infer.check(three, predictions)
    three.finish(infer.metrics(predictions), data=infer.counts(predictions))
    four = step("4_evaluate", root, folder)
    truth = evaluate.read_truth(four)
    scored = evaluate.score(four, truth, evaluate.read_predictions(four, truth))
    evaluate.check(scored)
    four.finish(evaluate.metrics(scored), data=evaluate.counts(truth, scored))
    return folder
