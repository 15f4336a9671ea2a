"""Optimiser, rates and schedule of a stage, and the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine import config as engine
from egolib.engine.rules import bounded, require


@dataclass(frozen=True)
class OptimConfig(engine.OptimConfig):
    """Optimisation of one stage, over ``egolib.engine.config.OptimConfig``.

    ``learning_rate`` is the effective rate, that is the published files' value times the
    number of GPUs, which the official code multiplies with. The warm-up lasts
    ``warmup_epochs``, then ``warmup_updates``; milestones count from its end.

    Args:
        weight_decay: on convolution and linear weights.
        backbone_lr_factor: factor on the rate of parameters outside the heads.
        warmup_epochs: linear warm-up at the start. The published files count their
            epochs without it; ``fit.epochs`` counts all.
        optimizer: ``adamw``, ``sgd``, or ``legacy_adamw`` (VSLNet): AdamW in its older form,
            which adds epsilon before it corrects the second moment's bias.
        schedule: ``cosine``, ``multistep`` or ``constant``, after the warm-up; ``linear``
            to 0 (VSLNet).
    """

    optimizer: Literal["adamw", "sgd", "legacy_adamw"] = "adamw"  # type: ignore[assignment]
    weight_decay: float = 0.05
    warmup_epochs: int = 5
    schedule: Literal["cosine", "multistep", "constant", "linear"] = "cosine"  # type: ignore[assignment]

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}

    def __post_init__(self) -> None:
        bounded(self, "optim", "learning_rate", "epsilon", above=True)
        bounded(self, "optim", "weight_decay", "backbone_lr_factor", "momentum", "gamma")
        bounded(self, "optim", "warmup_epochs", "warmup_updates", "warmup_start_factor")
        stepped = self.schedule == "multistep"
        require(
            stepped == bool(self.milestones),
            f"optim.schedule {self.schedule} with optim.milestones {list(self.milestones)}",
            "give milestones for multistep" if stepped else "set optim.schedule: multistep",
        )


def pretrain() -> OptimConfig:
    """On narrations as queries: 4 + 6 epochs, 4 GPUs x 4 samples, rate 5e-5 in the file."""
    return OptimConfig(learning_rate=2e-4, warmup_epochs=4)


def scratch() -> OptimConfig:
    """From scratch: 5 + 8 epochs, 2 GPUs x 2 samples, rate 5e-5 in the file (1e-4 in its name)."""
    return OptimConfig(learning_rate=1e-4, warmup_epochs=5)


def finetune() -> OptimConfig:
    """After pre-training: 4 + 6 epochs, 1 GPU x 2 samples; the heads start fresh."""
    return OptimConfig(learning_rate=2.5e-5, warmup_epochs=4)


def finetune_star() -> OptimConfig:
    """GroundNLQ* after pre-training: 4 + 6 epochs, 2 GPUs x 2 samples, 2.5e-5 in the file."""
    return OptimConfig(learning_rate=5e-5, warmup_epochs=4)


def vslnet() -> OptimConfig:
    """VSLNet as EgoVLPv2 tunes it: linearly to 0, without warm-up."""
    return OptimConfig(
        optimizer="legacy_adamw",
        learning_rate=1e-3,
        epsilon=1e-6,
        weight_decay=0.01,
        warmup_epochs=0,
        schedule="linear",
    )


OptimConfig.builders.update(
    pretrain=pretrain,
    scratch=scratch,
    finetune=finetune,
    finetune_star=finetune_star,
    vslnet=vslnet,
)
