"""The optimiser and the learning rates of EgoVLPv2.

AdamW as the older Hugging Face library has it; parameters in six groups by their
published names; linear warm-up, then a cosine or a polynomial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from egolib.errors import EgolibError
from egolib.vlp.config import OptimConfig
from egolib.vlp.formats.checkpoint import KEYS

#: Name parts, by which the official code sorts parameters into groups.
NO_DECAY = (
    "bias",
    "LayerNorm.weight",
    "norm.weight",
    "norm1.weight",
    "norm2.weight",
)
HEAD = ("mlm_score", "itm_score", "txt_proj", "vid_proj")
CROSS = ("cross_modal", "i2t", "t2i")


class LegacyAdamW(torch.optim.Optimizer):
    """AdamW with decoupled decay *after* the step, by the rate times the decay.

    Unlike ``torch.optim.AdamW``, epsilon is added to the root of the second moment
    before its bias is corrected.

    Args:
        params: parameters or groups.
        lr: rate.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
        weight_decay: share of a weight that a step at rate 1 would take away.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(group, parameters)
        return loss

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        states = [self._state(p) for p in parameters]
        grads: list[Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        first, second = [s["first"] for s in states], [s["second"] for s in states]
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(first, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
        for state in states:
            state["step"] += 1
        steps = [int(state["step"]) for state in states]
        sizes = [-group["lr"] * math.sqrt(1 - beta2**t) / (1 - beta1**t) for t in steps]
        roots = torch._foreach_sqrt(second)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(parameters, first, roots, sizes)
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["first"] = torch.zeros_like(parameter)
            state["second"] = torch.zeros_like(parameter)
        return state


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """Six groups: base, head and cross-modal, each with and without decay, in this order.

    Parameters are sorted by parts of their *published* names, so ``norm3`` and
    ``norm_i2t_i`` weights, class tokens, positions and gates decay, while the other
    norms and all biases do not.

    Returns:
        Dictionaries with ``name``, ``params``, ``names`` (ours), ``lr``, ``weight_decay``.
    """
    groups = [
        {"name": f"{part}{'' if decay else '_no_decay'}", "params": [], "names": [],
         "lr": config.learning_rate * factor,
         "weight_decay": config.weight_decay if decay else 0.0}
        for part, factor in (
            ("base", 1.0), ("head", config.head_factor), ("cross", config.cross_factor)
        )
        for decay in (True, False)
    ]  # fmt: skip
    for name, parameter in model.named_parameters():
        group: Any = groups[group_index(KEYS.official_name(name) or name)]
        group["params"].append(parameter)
        group["names"].append(name)
    return [group for group in groups if group["params"]]


def group_index(official_name: str) -> int:
    """The place of a parameter in the six groups, by its published name."""
    part = 0
    if any(p in official_name for p in HEAD):
        part = 1
    elif any(p in official_name for p in CROSS):
        part = 2
    return 2 * part + any(p in official_name for p in NO_DECAY)


def make_optimizer(model: nn.Module, config: OptimConfig) -> LegacyAdamW:
    """The optimiser of a training, with the six groups."""
    groups = parameter_groups(model, config)
    for group in groups:
        del group["names"]
    return LegacyAdamW(groups, config.learning_rate, config.betas, config.epsilon)


# ----------------------------------------------------------------------- schedule


def schedule(
    config: OptimConfig, total: int, per_epoch: int | None = None
) -> Callable[[int], float]:
    """The factor on every group's base rate, by update from 0.

    Args:
        config: shape of the schedule.
        total: updates of the whole training.
        per_epoch: updates of one epoch, needed for ``epoch_rate="official"``.

    Raises:
        EgolibError: the official epoch rate with several base rates: it is one rate
            for all parameters, which a common factor cannot express.
    """
    base = _cosine(config, total) if config.decay == "cosine" else _polynomial(config, total)
    if config.epoch_rate == "none":
        return base
    if not config.head_factor == config.cross_factor == 1.0:
        raise EgolibError(
            "epoch_rate: official needs head_factor and cross_factor 1",
            remedy="set both to 1, or epoch_rate to none",
        )
    if per_epoch is None:
        raise ValueError("the official epoch rate needs the updates of one epoch")
    return lambda update: _epoch_factor(config, update, per_epoch) or base(update)


def warmup_updates(config: OptimConfig, total: int) -> int:
    """Updates that the rate rises over; a fraction is of the whole training."""
    return int(config.warmup * total) if config.warmup < 1 else int(config.warmup)


def _cosine(config: OptimConfig, total: int) -> Callable[[int], float]:
    warmup = warmup_updates(config, total)

    def factor(update: int) -> float:
        if update < warmup:
            return update / max(1, warmup)
        progress = (update - warmup) / max(1, total - warmup)
        return max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))

    return factor


def _polynomial(config: OptimConfig, total: int) -> Callable[[int], float]:
    warmup, end = warmup_updates(config, total), config.end_rate / config.learning_rate

    def factor(update: int) -> float:
        if update < warmup:
            return update / max(1, warmup)
        if update > total:
            return end
        left = 1 - (update - warmup) / max(1, total - warmup)
        return (1 - end) * left**config.decay_power + end

    return factor


def _epoch_factor(config: OptimConfig, update: int, per_epoch: int) -> float | None:
    """The factor of an epoch's first update; None for the first epoch and other updates.

    Official behaviour: after every epoch all groups are set to one rate, which the
    schedule replaces only after the next update.
    """
    epoch, place = divmod(update, per_epoch)
    if place or not epoch:
        return None
    passed = sum(epoch >= milestone for milestone in config.epoch_rate_milestones)
    return config.epoch_rate_value * 0.1**passed / config.learning_rate
