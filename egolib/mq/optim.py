"""The published optimiser and its learning rates."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from egolib.mq.config import TrainConfig


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Adam:
    """Adam over all parameters; the decay is added to the gradient (not decoupled)."""
    return torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def schedule(config: TrainConfig, updates_per_epoch: int) -> Callable[[int], float]:
    """The factor on the rate for update t = 0, 1, 2, ...: gamma^floor(epoch / step).

    Args:
        config: step and gamma.
        updates_per_epoch: updates of one epoch.
    """
    return lambda update: config.gamma ** (update // updates_per_epoch // config.step_epochs)
