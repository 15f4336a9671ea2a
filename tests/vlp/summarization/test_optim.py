from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.vlp.config import SummarizerConfig
from egolib.vlp.config.published import qfvs
from egolib.vlp.summarization.network import Summarizer
from egolib.vlp.summarization.optim import make_optimizer, parameter_groups, schedule

CONFIG = qfvs()[2]


def test_groups_by_number_of_axes() -> None:
    model = Summarizer(SummarizerConfig(width=8, hidden=8))
    weights, others = parameter_groups(model, CONFIG)
    assert all(p.ndim >= 2 for p in weights["params"])
    assert all(p.ndim < 2 for p in others["params"])
    assert "layers.0.attention_norm.weight" in others["names"]
    assert weights["lr"] == pytest.approx(2e-6) and others["lr"] == pytest.approx(4.8e-8)
    assert len(weights["params"]) + len(others["params"]) == len(list(model.parameters()))
    assert [g["weight_decay"] for g in make_optimizer(model, CONFIG).param_groups] == [0.1, 0.1]


def test_schedule() -> None:
    factor = schedule(CONFIG, epochs=6, per_epoch=5)
    assert [factor(0), factor(5), factor(10)] == [0.0, 0.5, 1.0]
    assert factor(20) == pytest.approx(0.5 + 0.0005) and factor(30) == pytest.approx(0.001)


def test_a_training_that_ends_with_its_rise() -> None:
    factor = schedule(CONFIG, epochs=2, per_epoch=3)
    assert factor(5) == pytest.approx(5 / 6)
    with pytest.raises(EgolibError, match="more than 2 epochs"):
        factor(6)
