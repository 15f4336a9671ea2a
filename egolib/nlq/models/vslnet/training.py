"""How VSLNet is optimised: parameter groups, learning rates, when to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from egolib.engine.fit import FitResult
from egolib.engine.legacy_adamw import LegacyAdamW
from egolib.nlq.config.span import SpanTrainConfig
from egolib.nlq.models.vslnet.convert import KEYS

#: Parts of published names; parameters with one of them do not decay.
NO_DECAY = ("bias", "layer_norm", "LayerNorm")


def decays(official_name: str) -> bool:
    """Whether a parameter decays, by its published name; position tables do."""
    return not any(part in official_name for part in NO_DECAY)


def parameter_groups(model: nn.Module, config: SpanTrainConfig) -> list[dict[str, Any]]:
    """Two groups for an optimiser: with decay, then without.

    Returns:
        Dictionaries with ``params``, ``names`` (ours), ``lr`` and ``weight_decay``.
    """
    groups: list[dict[str, Any]] = [
        {"params": [], "names": [], "lr": config.learning_rate, "weight_decay": decay}
        for decay in (config.weight_decay, 0.0)
    ]
    for name, parameter in model.named_parameters():
        group = groups[0 if decays(KEYS.official_name(name) or name) else 1]
        group["params"].append(parameter)
        group["names"].append(name)
    return groups


def make_optimizer(model: nn.Module, config: SpanTrainConfig) -> LegacyAdamW:
    """AdamW in its older form over the two groups."""
    groups = parameter_groups(model, config)
    for group in groups:
        del group["names"]
    return LegacyAdamW(groups, config.learning_rate, config.betas, config.epsilon)


def schedule(config: SpanTrainConfig, total: int) -> Callable[[int], float]:
    """The factor on every group's rate for update t = 0, 1, 2, ...: linearly up, then to 0.

    Args:
        config: the share of the warm-up.
        total: updates of the whole training; the one after the last has rate 0.
    """
    warmup = config.warmup * total

    def factor(update: int) -> float:
        if update < warmup:
            return update / max(1.0, warmup)
        return max(0.0, (total - update) / max(1.0, total - warmup))

    return factor


def evaluation_updates(per_epoch: int, epochs: int) -> list[int]:
    """After which updates (counted from 1) the validation set is looked at.

    Official behaviour: at every multiple of half an epoch, rounded down, and at every
    epoch's end; so about twice an epoch, three times where its length is odd. An epoch of
    one update stops the official training with a division by zero; here it is
    evaluated once.

    Args:
        per_epoch: updates of one epoch.
        epochs: of the whole training.
    """
    half = max(1, per_epoch // 2)
    total = per_epoch * epochs
    return [t for t in range(1, total + 1) if t % half == 0 or t % per_epoch == 0]


def chosen_weights(result: FitResult, config: SpanTrainConfig) -> Path:
    """The weights that a training ends with.

    Official behaviour: the best of all evaluations on the validation set, so that its
    scores there are the maximum of about a hundred; ``select_on="last"`` takes the last.

    Args:
        result: of the engine, with ``fit.monitor`` set.
        config: which to choose.
    """
    if config.select_on == "official" and result.best is not None:
        return result.best
    return result.weights
