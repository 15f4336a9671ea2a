"""Optimiser and learning rates of the summariser."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from egolib.errors import EgolibError
from egolib.vlp.config import OptimConfig


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Two groups in module order: parameters of two axes or more, then biases and norms.

    Official behaviour: both decay; a layer that is never used is among them.

    Returns:
        Dictionaries with ``params``, ``names`` (ours), ``lr``, ``weight_decay``.
    """
    groups: list[dict[str, Any]] = [
        {"params": [], "names": [], "lr": config.learning_rate * factor,
         "weight_decay": config.weight_decay}
        for factor in (config.head_lr_factor, config.bias_lr_factor)
    ]  # fmt: skip
    for name, parameter in model.named_parameters():
        group = groups[parameter.ndim < 2]
        group["params"].append(parameter)
        group["names"].append(name)
    return groups


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW with the two groups."""
    groups = parameter_groups(model, config)
    for group in groups:
        del group["names"]
    return torch.optim.AdamW(groups, betas=config.betas, eps=config.epsilon)


def schedule(config: OptimConfig, epochs: int, per_epoch: int) -> Callable[[int], float]:
    """The factor on every group's rate, by update from 0: a linear rise, then half a cosine.

    Official behaviour: the rates are so low (2e-6 and 4.8e-8 at most) that the network
    stays close to its random start.

    Args:
        config: length of the rise, and where the cosine ends.
        epochs: of the whole training.
        per_epoch: updates of an epoch.

    Returns:
        A function that raises EgolibError behind a training that ends with its rise.
    """
    warmup, total = config.warmup_epochs * per_epoch, epochs * per_epoch
    end = config.end_learning_rate / config.learning_rate

    def factor(update: int) -> float:
        if update < warmup:
            return update / warmup
        if total == warmup:
            raise EgolibError(
                f"no update {update}: the training ends with its rise",
                remedy=f"train for more than {config.warmup_epochs} epochs",
            )
        left = 0.5 * (1 + math.cos(math.pi * (update - warmup) / (total - warmup)))
        return left + end * (1 - left)

    return factor
