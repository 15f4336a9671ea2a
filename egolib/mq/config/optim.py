"""Optimiser and schedule. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from egolib.engine import config as engine
from egolib.engine.rules import at_least


@dataclass(frozen=True)
class OptimConfig(engine.OptimConfig):
    """Optimiser and schedule (further fields: ``egolib.engine.config.OptimConfig``).

    Args:
        learning_rate: at the start.
        weight_decay: of every parameter.
        adamw: ``official`` is plain Adam, whose decay is added to the gradient; ``torch``
            is AdamW.
        schedule: ``multistep`` as published, or ``constant``, ``cosine``, ``polynomial``
            (linear), after the warm-up.
        milestone_unit: of ``milestones``.
        step_epochs: where ``multistep`` has no milestones, the rate is multiplied by
            ``gamma`` every so many epochs.
        gamma: that factor.
        warmup_epochs: epochs over which the rate rises linearly, before ``warmup_updates``
            more; the last of those updates has the full rate.
        schedule_epochs: epochs that the schedule is made for, where the training ends
            earlier; 0 takes ``fit.epochs``.
        decay: what decays: ``all`` parameters, or ``weights`` of convolutions and linear maps
            alone (ActionFormer).
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    adamw: Literal["official", "torch"] = "official"
    schedule: Literal["constant", "multistep", "cosine", "polynomial"] = "multistep"
    milestone_unit: Literal["updates", "epochs"] = "epochs"
    step_epochs: int = 15
    warmup_epochs: int = 0
    schedule_epochs: int = 0
    decay: Literal["all", "weights"] = "all"

    def __post_init__(self) -> None:
        at_least(self, 1, "optim", "step_epochs")
        at_least(self, 0, "optim", "warmup_epochs", "schedule_epochs")
