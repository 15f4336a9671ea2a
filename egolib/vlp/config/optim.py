"""Optimiser and schedule. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from egolib.engine import config as engine
from egolib.engine.rules import at_least, fraction, positive, require


@dataclass(frozen=True)
class OptimConfig(engine.OptimConfig):
    """Optimiser and schedule (further fields: ``egolib.engine.config.OptimConfig``).

    ``backbone_lr_factor`` is the rate of all that is in neither of the other two groups.

    Args:
        learning_rate: base rate.
        betas: decay of the two moments.
        weight_decay: decoupled, of the weights that decay.
        schedule: ``cosine`` (the released configuration), ``polynomial`` (the paper's
            linear decay), ``multistep`` or ``constant``, after the warm-up.
        adamw: ``official`` is the older Hugging Face form: decay after the step, epsilon
            before the bias correction; ``torch`` is PyTorch's.
        head_lr_factor: rate of projectors, matching and language heads, in base rates.
        cross_lr_factor: rate of everything that joins the two sides, in base rates.
        warmup_fraction: fraction of all updates that the rate rises over, where
            ``warmup_updates`` is 0.
        polynomial_power: exponent of the polynomial; 1 is the linear decay of the paper.
        end_learning_rate: rate at the end of the polynomial, and of a summariser's cosine.
        bias_lr_factor: rate of a summariser's biases and norms, in base rates (its other
            parameters have ``head_lr_factor``).
        warmup_epochs: epochs that a summariser's rate rises over.
        epoch_learning_rate: ``official`` runs the first update of every epoch but the first
            at ``epoch_learning_rate_value``, as the released fine-tuning does; ``none``
            does not.
        epoch_learning_rate_value: that rate, for all parameters.
        epoch_learning_rate_milestones: epochs after which it falls to a tenth.
    """

    learning_rate: float = 3e-5
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    schedule: Literal["constant", "multistep", "cosine", "polynomial"] = "cosine"
    adamw: Literal["official", "torch"] = "official"
    head_lr_factor: float = 4.0
    cross_lr_factor: float = 4.0
    warmup_fraction: float = 0.1
    polynomial_power: float = 1.0
    end_learning_rate: float = 1e-7
    bias_lr_factor: float = 1.0
    warmup_epochs: int = 0
    epoch_learning_rate: Literal["none", "official"] = "none"
    epoch_learning_rate_value: float = 2e-4
    epoch_learning_rate_milestones: tuple[int, ...] = (60, 80)

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}

    def __post_init__(self) -> None:
        positive(self, "optim", "learning_rate", "epsilon", "polynomial_power", "gamma")
        fraction(self, "optim", "warmup_fraction", "warmup_start_factor", "momentum")
        at_least(self, 0, "optim", "warmup_updates", "weight_decay", "end_learning_rate")
        factors = ("backbone_lr_factor", "head_lr_factor", "cross_lr_factor")
        at_least(self, 0, "optim", *factors, "bias_lr_factor", "warmup_epochs")
        require(
            self.epoch_learning_rate == "none" or all(getattr(self, f) == 1 for f in factors),
            "optim.epoch_learning_rate: official sets one rate for all parameters, but the "
            f"factors are {[getattr(self, f) for f in factors]}",
            f"set {', '.join(f'optim.{f}' for f in factors)} to 1, "
            "or optim.epoch_learning_rate: none",
        )
        require(
            self.schedule != "multistep" or bool(self.milestones),
            "optim.schedule: multistep without optim.milestones",
            "name the milestones, or choose constant",
        )
