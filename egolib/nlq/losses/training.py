"""What a batch of training or validation costs: network, targets and losses together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from egolib.engine import distributed
from egolib.nlq.config import Config, LossConfig, TextPadding, Validation
from egolib.nlq.data.dataset import Batch
from egolib.nn.point_losses import PointLoss
from egolib.nn.points import assign_batch, make_points


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it.

    Args:
        config: targets and losses.
        classes: of the network.
        text_padding: how questions see the padding of their batch.
        sum_over_processes: see ``PointLoss``.
        processes: see ``PointLoss``.
    """

    def __init__(
        self,
        config: LossConfig,
        classes: int = 1,
        text_padding: TextPadding = "official",
        sum_over_processes: Callable[[int], int] | None = None,
        processes: int = 1,
    ):
        self.config, self.classes, self.text_padding = config, classes, text_padding
        self.loss = PointLoss(config, sum_over_processes, processes)

    def __call__(self, model: nn.Module, batch: Batch, *, update: bool = True) -> dict[str, Tensor]:
        """``loss``, ``classification`` and ``regression``, scalars.

        Args:
            model: the network.
            batch: its input and the true windows.
            update: see ``PointLoss``.
        """
        predictions = model(
            batch.video,
            batch.video_mask,
            batch.tokens,
            batch.token_masks,
            text_padding=self.text_padding,
        )
        points = make_points(predictions.lengths, predictions.logits.device)
        targets = assign_batch(
            points, batch.windows, batch.labels, batch.valid, self.config, self.classes
        )
        return self.loss(predictions, targets, update=update)

    def state_dict(self) -> dict[str, Any]:
        return self.loss.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss.load_state_dict(state)


def validation_loss(
    model: nn.Module,
    loss: TrainingLoss,
    batches: Iterable[Batch],
    behaviour: Validation = "official",
) -> dict[str, float]:
    """Mean losses over batches, without gradients.

    Official behaviour: stochastic depth stays on and the normaliser moves with the
    validation set; ``clean`` does neither.

    Args:
        model: the network; its mode is restored.
        loss: of the training.
        batches: of the validation set.
        behaviour: ``official`` or ``clean``.
    """
    training = model.training
    model.train(behaviour == "official")
    totals: dict[str, float] = {}
    count = 0
    with torch.no_grad():
        for batch in batches:
            count += 1
            for name, value in loss(model, batch, update=behaviour == "official").items():
                totals[name] = totals.get(name, 0.0) + float(value)
    model.train(training)
    return {name: value / count for name, value in totals.items()}


def make_loss(config: Config) -> TrainingLoss:
    """The loss of a configuration; with ``loss.distributed: exact`` processes count as one."""
    classes, padding = config.model.classes, config.data.text_padding
    if config.loss.distributed == "official" or not distributed.is_parallel():
        return TrainingLoss(config.loss, classes, padding)
    processes = distributed.world_size()
    return TrainingLoss(config.loss, classes, padding, _count_over_processes, processes)


def _count_over_processes(count: int) -> int:
    return sum(distributed.gather_objects(count))
