"""What a task gives to the engine, and small pieces that belong to a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from egolib.engine.loading import TrainingData

Losses = dict[str, Tensor]
Loss = Callable[[nn.Module, Any], Losses]
Evaluate = Callable[[nn.Module], Mapping[str, float]]


class Stateful(Protocol):
    """Anything besides weights that a resumed training must continue with."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


@dataclass
class Job:
    """One training: what is trained, on what, and how it is judged.

    Args:
        model: the network.
        loss: from (model, batch) to named scalars; the one named ``loss`` is minimised.
        data: the training data.
        optimizer: over the model's parameters; each group's ``lr`` is its base rate.
        schedule: from the update's number (0, 1, …) to the factor on every base rate.
        evaluate: from a model in evaluation mode to named numbers; None for none.
        stateful: further state by name, for instance a loss normaliser.
        sidecar: what is written beside the weights (``model``, ``config``).
        ema_initial: weights that the moving average starts from; None for the model's.
        unused_parameters: some parameters may get no gradient in an update.
        blocks: modules that repeat, which ``fit.compile`` compiles on a GPU.
        checkpointing: whether these keep a part of their activations only.
    """

    model: nn.Module
    loss: Loss
    data: TrainingData
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    evaluate: Evaluate | None = None
    stateful: Mapping[str, Stateful] = field(default_factory=dict)
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    ema_initial: Mapping[str, Tensor] | None = None
    unused_parameters: bool = True
    blocks: Sequence[nn.Module] = ()
    checkpointing: bool = False


class Held:
    """A batch that wrappers pass on untouched, whatever it is made of.

    Precision plugins and data parallel wrappers walk through what a forward pass is given
    and rebuild it; a task's batch is on its device already, and stays as it is.
    """

    def __init__(self, batch: Any):
        self.batch = batch


class Objective(nn.Module):
    """Model and loss as one module, so that wrappers see a single forward pass."""

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, held: Held) -> Losses:
        return self._loss(self.model, held.batch)


class MovingAverage:
    """Exponential moving average of every entry of a state dict.

    ``average <- decay * average + (1 - decay) * value``; integer entries are copied.
    """

    def __init__(self, model: nn.Module, decay: float, initial: Mapping[str, Tensor] | None = None):
        self.decay = decay
        live = model.state_dict()
        start = live if initial is None else initial
        self.state = {k: start[k].detach().clone().to(v.device) for k, v in live.items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes the model's present weights in."""
        values = model.state_dict()
        floating = [k for k, v in values.items() if v.is_floating_point()]
        averages = [self.state[k] for k in floating]
        torch._foreach_mul_(averages, self.decay)
        torch._foreach_add_(averages, [values[k] for k in floating], alpha=1 - self.decay)
        for key in values.keys() - set(floating):
            self.state[key].copy_(values[key])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Puts the averages into the model for the time of the block."""
        live = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.state)
        try:
            yield
        finally:
            model.load_state_dict(live)
