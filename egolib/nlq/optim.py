"""Training GroundNLQ: parameter groups, the optimiser, learning rates, where weights start."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from egolib.engine.config import updates_per_epoch
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.checkpoint import LoadReport
from egolib.nlq.config import Config, OptimConfig
from egolib.nlq.formats.checkpoint import KEYS
from egolib.nlq.models.network import GroundNLQ
from egolib.nn.temporal_attention import DepthwiseConv
from egolib.nn.temporal_blocks import MaskedConv

LOWEST_RATE = 1e-8  # of the cosine schedule after a warm-up
HEADS = ("classification.", "regression.", "level_scales.")
NO_START = ("", "none")  # values of initial.weights that mean a fresh start


# ---------------------------------------------------------------- parameter groups


def parameter_groups(model: GroundNLQ, config: OptimConfig) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, each with ``params``, ``names``, ``lr``, ``weight_decay``.

    Weights of convolutions and linear maps decay; biases, norms, gains, scales and
    relative biases do not. With ``backbone_lr_factor`` other than 1 the parameters outside
    the heads form groups of their own.
    """
    decaying = _decaying(model)
    parts = [(config.learning_rate, list(dict(model.named_parameters())))]
    if config.backbone_lr_factor != 1:
        names = parts[0][1]
        parts = [
            (config.learning_rate, [n for n in names if n.startswith(HEADS)]),
            (
                config.learning_rate * config.backbone_lr_factor,
                [n for n in names if not n.startswith(HEADS)],
            ),
        ]
    parameters = dict(model.named_parameters())
    return [
        {
            "params": [parameters[n] for n in names if (n in decaying) == decays],
            "names": [n for n in names if (n in decaying) == decays],
            "lr": rate,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for rate, names in parts
        for decays in (True, False)
    ]


def _decaying(model: nn.Module) -> set[str]:
    kinds = (nn.Linear, MaskedConv, DepthwiseConv)
    return {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, kinds)}


def make_optimizer(model: GroundNLQ, config: OptimConfig) -> torch.optim.Optimizer:
    """AdamW (as published: betas 0.9 and 0.999, eps 1e-8) or SGD over the parameter groups."""
    groups = [
        {k: v for k, v in group.items() if k != "names"}
        for group in parameter_groups(model, config)
    ]
    rate = config.learning_rate
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)
    return torch.optim.AdamW(groups, lr=rate, betas=config.betas, eps=config.epsilon)


# ------------------------------------------------------------------------ schedule


def schedule(config: OptimConfig, epochs: int, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, 2, ...

    With W = warm-up updates and M = all updates: t / (W - 1) while t < W, so that the
    first update has rate 0 and W - 1 and W both have the full rate; then cosine to
    1e-8 (absolute, for the rate of ``config.learning_rate``), multistep or constant.
    Without warm-up the cosine ends at 0. Beyond M the cosine rises again.

    Args:
        config: of the optimisation; ``warmup_start_factor`` replaces the 0.
        epochs: of the whole training, the warm-up included.
        steps_per_epoch: updates of one epoch.
    """
    warmup = config.warmup_epochs * steps_per_epoch + config.warmup_updates
    first = config.warmup_start_factor
    decay = _decay(config, epochs * steps_per_epoch - warmup, steps_per_epoch, warmup > 0)

    def factor(update: int) -> float:
        if update < warmup:
            return first + (1 - first) * update / max(warmup - 1, 1)
        return decay(update - warmup)

    return factor


def make_schedule(config: Config, samples: int) -> Callable[[int], float]:
    """The schedule of a configuration for so many training samples."""
    return schedule(config.optim, config.fit.epochs, updates_per_epoch(samples, config.fit))


def _decay(
    config: OptimConfig, steps: int, steps_per_epoch: int, after_warmup: bool
) -> Callable[[int], float]:
    """The factor t updates after the warm-up."""
    if config.schedule == "constant":
        return lambda t: 1.0
    if config.schedule == "linear":
        return lambda t: max(0.0, 1 - t / max(steps, 1))
    if config.schedule == "multistep":
        unit = steps_per_epoch if config.milestone_unit == "epochs" else 1
        milestones = sorted(unit * place for place in config.milestones)
        return lambda t: config.gamma ** bisect_right(milestones, t)
    lowest = LOWEST_RATE / config.learning_rate if after_warmup else 0.0
    return lambda t: lowest + (1 - lowest) * (1 + math.cos(math.pi * t / max(steps, 1))) / 2


# ------------------------------------------------------------------ initial weights


def load_initial(model: GroundNLQ, path: str | Path, heads: str = "official") -> LoadReport:
    """Starts a network from an egolib checkpoint or an official file.

    Official behaviour: fine-tuning skips every name with "head", so both heads
    and the levels' scales start afresh; ``kept`` takes them too.

    Args:
        model: the network.
        path: of the file.
        heads: ``official`` or ``kept``.

    Returns:
        What was loaded and what starts fresh.

    Raises:
        EgolibError: the file holds another network's weights, with the report; all but
            the heads must be there.
    """
    if Path(path).suffix == ".safetensors" and Path(path).with_suffix(".json").is_file():
        state, _ = checkpoint.load(path)
    else:
        content = checkpoint.read_foreign(path)
        state = KEYS.to_ours(checkpoint.find_weights(content, file=path).state)
    expected = model.state_dict()
    if heads == "official":
        state, expected = (
            {name: value for name, value in own.items() if not name.startswith(HEADS)}
            for own in (state, expected)
        )
    report = checkpoint.compare(state, expected)
    if not report.complete:
        raise EgolibError(
            f"these initial weights are of another network: {report}",
            file=path,
            remedy="use the variant that they were trained with",
        )
    return checkpoint.load_partial(model, state)


# ---------------------------------------------------------------- averaged weights


def initial_average(
    fresh: Mapping[str, Tensor], loaded: Mapping[str, Tensor], behaviour: str = "official"
) -> dict[str, Tensor]:
    """What the averaged weights start from when a training begins.

    Official behaviour: the copy is taken before the initial weights are read, so the
    average of a fine-tuning starts at random weights; ``loaded`` corrects that.

    Args:
        fresh: state dict of the network as it was built.
        loaded: the same after the initial weights were read.
        behaviour: ``official`` or ``loaded``.
    """
    chosen = fresh if behaviour == "official" else loaded
    return {name: value.detach().clone() for name, value in chosen.items()}
