"""The published optimiser."""

from __future__ import annotations

import torch

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
