"""The published optimiser, its learning rates, and where weights start."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.mq.config import Config, ModelConfig, OptimConfig
from egolib.mq.formats.checkpoint import read_any
from egolib.mq.models.build import Network, build
from egolib.runs.inputs import weights_file
from egolib.runs.step import Step

LOWEST_RATE = 1e-8  # of the cosine after a warm-up by epochs (OpenTAD)

Schedule = Callable[[int], float]


def parameter_groups(network: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """One group of all parameters, or with ``decay: weights`` those that decay and the others.

    Returns:
        Dictionaries with ``name``, ``params``, ``lr``, ``weight_decay``.
    """
    named, decaying = dict(network.named_parameters()), _decaying(network, config)
    groups = {
        "all" if config.decay == "all" else "weights": (config.weight_decay, decaying),
        "others": (0.0, named.keys() - decaying),
    }
    return [
        {
            "name": name,
            "params": [p for n, p in named.items() if n in own],
            "lr": config.learning_rate,
            "weight_decay": decay,
        }
        for name, (decay, own) in groups.items()
        if own
    ]


def _decaying(network: nn.Module, config: OptimConfig) -> set[str]:
    """Names of the parameters that decay."""
    if config.decay == "all":
        return {name for name, _ in network.named_parameters()}
    kinds = (nn.Linear, nn.Conv1d)
    return {f"{name}.weight" for name, m in network.named_modules() if isinstance(m, kinds)}


def make_optimizer(network: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam over all parameters.

    Official behaviour: the decay is added to the gradient (not decoupled).
    """
    kind = torch.optim.Adam if config.adamw == "official" else torch.optim.AdamW
    groups = parameter_groups(network, config)
    return kind(groups, config.learning_rate, config.betas, config.epsilon)


# ------------------------------------------------------------------------------ schedule


def schedule(config: OptimConfig, updates_per_epoch: int, total: int | None = None) -> Schedule:
    """The factor on the rate for update t = 0, 1, 2, ...; published is gamma^floor(epoch / step).

    Args:
        config: shape of the schedule.
        updates_per_epoch: updates of one epoch.
        total: updates of the whole training; ``cosine`` and ``polynomial`` need it.

    Raises:
        EgolibError: ``total`` is needed and not given.
    """
    if config.schedule_epochs:
        total = config.schedule_epochs * updates_per_epoch
    warmup = config.warmup_epochs * updates_per_epoch + config.warmup_updates
    falling, start = _falling(config, updates_per_epoch, total, warmup), config.warmup_start_factor
    rising = max(1, warmup - 1) if config.warmup_epochs else warmup

    def factor(update: int) -> float:
        if update < warmup:
            return start + (1 - start) * update / rising
        return falling(update)

    return factor


def _falling(
    config: OptimConfig, updates_per_epoch: int, total: int | None, warmup: int
) -> Schedule:
    if config.schedule == "constant":
        return lambda update: 1.0
    if config.schedule == "multistep":
        return lambda update: config.gamma ** _steps(config, update, updates_per_epoch)
    if total is None:
        raise EgolibError(f"the schedule {config.schedule!r} needs the number of all updates")
    length = max(1, total - warmup)

    def left(update: int) -> float:
        return max(0.0, 1 - (update - warmup) / length)

    if config.schedule == "polynomial":
        return left
    lowest = LOWEST_RATE / config.learning_rate if config.warmup_epochs else 0.0
    return lambda update: lowest + (1 - lowest) * 0.5 * (1 - math.cos(math.pi * left(update)))


def _steps(config: OptimConfig, update: int, updates_per_epoch: int) -> int:
    """How often the rate has fallen."""
    if not config.milestones:
        return update // updates_per_epoch // config.step_epochs
    unit = updates_per_epoch if config.milestone_unit == "epochs" else 1
    return sum(update // unit >= milestone for milestone in config.milestones)


# --------------------------------------------------------------------- where weights start


def initial_weights(step: Step[Config]) -> Path | None:
    """The file that a training starts from; None for random weights.

    Raises:
        EgolibError: the file that the configuration names is not there.
    """
    named = step.config.initial.weights
    if "initial" in step.inputs:
        return weights_file(step.input("initial"), named or "best")
    if not named:
        return None
    path = step.data_root / named
    if not path.is_file():
        raise EgolibError(
            "initial.weights is not there",
            file=path,
            remedy="name another file, or leave it empty for random weights",
        )
    return path


def initial_model(step: Step[Config], config: ModelConfig) -> Network:
    """A network with its initial weights; says where they are from.

    Raises:
        EgolibError: weights of another network.
    """
    network, start = build(config, step.config.seed), initial_weights(step)
    if start is None:
        return network
    state, _ = read_any(start, config)
    report = checkpoint.compare(state, network.state_dict())
    report.require_complete(file=start)
    network.load_state_dict(state)
    print(f"{start.name}: {report}")
    return network
