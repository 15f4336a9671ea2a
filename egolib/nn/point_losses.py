"""Losses over the points of a pyramid: focal, overlap, and a running normaliser of both.

Shapes: B batch, P points, K classes, M positives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.nn.points import Predictions, Targets
from egolib.nn.temporal_config import PointLossRules

SMALLEST_UNION = 1e-8
SMALLEST_REGRESSION = 0.01  # for the balanced weight


def focal_loss(
    logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Element-wise focal loss of logits against targets in [0, 1].

    Args:
        logits: of any shape.
        targets: of the same shape.
        alpha: weight of the positives; below 0 for no weights.
        gamma: how much well-classified elements count less.
    """
    probability = logits.sigmoid()
    agreement = probability * targets + (1 - probability) * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    loss = loss * (1 - agreement) ** gamma
    return loss if alpha < 0 else loss * (alpha * targets + (1 - alpha) * (1 - targets))


def overlap_loss(offsets: Tensor, targets: Tensor, kind: str = "diou") -> Tensor:
    """1 - IoU (M,) of windows given as distances to the left and right (M, 2), not negative.

    ``diou`` adds the squared distance of the centres over the covering window's length.
    In one dimension, with the point inside both windows, ``giou`` is 1 - IoU.

    Args:
        offsets: (M, 2) predicted distances.
        targets: (M, 2) true distances.
        kind: ``diou`` or ``giou``.
    """
    left, right = offsets.unbind(-1)
    true_left, true_right = targets.unbind(-1)
    common = torch.minimum(left, true_left) + torch.minimum(right, true_right)
    union = left + right + true_left + true_right - common
    loss = 1 - common / union.clamp(min=SMALLEST_UNION)
    if kind == "giou":
        return loss
    cover = torch.maximum(left, true_left) + torch.maximum(right, true_right)
    shift = 0.5 * (right - left - true_right + true_left)
    return loss + (shift / cover.clamp(min=SMALLEST_UNION)).square()


class PointLoss:
    """The training loss and its only state: the running number of positives.

    Official behaviour: each process has its own normaliser, which is not saved. Here
    ``state_dict`` and ``load_state_dict`` save it, and ``sum_over_processes`` makes
    several processes count as one.

    Args:
        config: weights, smoothing and the normaliser's start.
        sum_over_processes: adds a number over all processes; None for each its own.
        processes: how many there are; their averaged gradients then equal those of
            one process with the whole batch. 1 where each counts by itself.
    """

    def __init__(
        self,
        config: PointLossRules,
        sum_over_processes: Callable[[int], int] | None = None,
        processes: int = 1,
    ):
        self.config = config
        self.normalizer = float(config.initial_normalizer)
        self.sum_over_processes, self.processes = sum_over_processes, processes

    def __call__(
        self, predictions: Predictions, targets: Targets, *, update: bool = True
    ) -> dict[str, Tensor]:
        """``loss`` (the total), ``classification`` and ``regression``, scalars.

        Args:
            predictions: of the network.
            targets: of the batch.
            update: move the normaliser; false for a validation loss that changes nothing.
        """
        valid = predictions.mask
        positive = valid & targets.positive
        normalizer = self._next_normalizer(positive)
        if update:
            self.normalizer = normalizer
        scale = self.processes / normalizer
        classification = self._classification(predictions.logits[valid], targets.classes[valid])
        regression = self._regression(predictions.offsets[positive], targets.offsets[positive])
        classification, regression = classification * scale, regression * scale
        weight: float | Tensor = self.config.regression_weight
        if self.config.regression_weight <= 0:
            weight = classification.detach() / regression.detach().clamp(min=SMALLEST_REGRESSION)
        total = classification + weight * regression
        return {"loss": total, "classification": classification, "regression": regression}

    def state_dict(self) -> dict[str, Any]:
        return {"normalizer": self.normalizer}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.normalizer = float(state["normalizer"])

    def _next_normalizer(self, positive: Tensor) -> float:
        count = int(positive.sum())
        if self.sum_over_processes is not None:
            count = self.sum_over_processes(count)
        keep = self.config.normalizer_momentum
        return keep * self.normalizer + (1 - keep) * max(count, 1)

    def _classification(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Summed focal loss of (M, K) logits against smoothed targets."""
        smoothing, logits = self.config.label_smoothing, logits.float()
        targets = targets.float() * (1 - smoothing) + smoothing / (logits.shape[-1] + 1)
        return focal_loss(logits, targets).sum()

    def _regression(self, offsets: Tensor, targets: Tensor) -> Tensor:
        """Summed overlap loss; without positives zero that still belongs to the graph."""
        if len(offsets) == 0:
            return offsets.sum() * 0
        return overlap_loss(offsets.float(), targets.float(), self.config.overlap).sum()
