"""The published optimiser."""

from __future__ import annotations

import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import OptimConfig
from egolib.mq.optim import make_optimizer, schedule


def test_rate_falls_by_steps_of_epochs():
    factor = schedule(OptimConfig(step_epochs=2, gamma=0.5), updates_per_epoch=3)
    assert [factor(t) for t in (0, 5, 6, 11, 12)] == [1, 1, 0.5, 0.5, 0.25]


def test_decay_is_added_to_the_gradient():
    parameter = torch.nn.Linear(1, 1, bias=False)
    before = parameter.weight.detach().clone()
    optimizer = make_optimizer(parameter, OptimConfig(learning_rate=0.1, weight_decay=0.5))
    parameter.weight.grad = torch.zeros_like(parameter.weight)
    optimizer.step()  # Adam's first step has the size of the rate, whatever the gradient
    moved = (parameter.weight - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1), rtol=1e-4, atol=0)


def test_decoupled_decay_shrinks_without_a_gradient():
    parameter = torch.nn.Linear(1, 1, bias=False)
    before = parameter.weight.detach().clone()
    config = OptimConfig(learning_rate=0.1, weight_decay=0.5, adamw="torch")
    optimizer = make_optimizer(parameter, config)
    parameter.weight.grad = torch.zeros_like(parameter.weight)
    optimizer.step()
    torch.testing.assert_close(parameter.weight, before * 0.95)


def test_other_schedules():
    named = OptimConfig(milestones=(1, 3), gamma=0.5)
    assert [schedule(named, 2)(t) for t in (0, 1, 2, 5, 6)] == [1, 1, 0.5, 0.5, 0.25]
    by_update = OptimConfig(milestones=(2,), milestone_unit="updates", gamma=0.5)
    assert [schedule(by_update, 10)(t) for t in (1, 2)] == [1, 0.5]
    cosine = OptimConfig(schedule="cosine", warmup_updates=2)
    factors = [schedule(cosine, 5, 12)(t) for t in (0, 1, 2, 7, 12)]
    assert factors == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert schedule(OptimConfig(schedule="polynomial"), 5, 10)(5) == pytest.approx(0.5)
    with pytest.raises(EgolibError, match="number of all updates"):
        schedule(OptimConfig(schedule="cosine"), 5)
