"""ActionFormer's objective: focal classification and overlap regression over all points."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from egolib.mq.config import PointLossConfig
from egolib.mq.data.points import PointBatch
from egolib.mq.models.actionformer import ActionFormer
from egolib.nn.point_losses import PointLoss
from egolib.nn.points import assign_batch, make_points


class ActionFormerLoss:
    """From a network and a batch to named losses, as the engine wants it.

    Official behaviour: outside training the losses are divided by the batch's own number of
    positives, and the running one stays.

    Args:
        config: targets, weights and the normaliser.
    """

    def __init__(self, config: PointLossConfig):
        self.config, self.loss = config, PointLoss(config)

    def __call__(self, model: nn.Module, batch: PointBatch) -> dict[str, Tensor]:
        """``loss`` (the total), ``classification`` and ``regression``, scalars.

        Args:
            model: ActionFormer; its mode says whether this is training.
            batch: with moments.
        """
        assert isinstance(model, ActionFormer)
        predictions = model(batch.features, batch.mask)
        points = make_points(predictions.lengths, predictions.logits.device)
        valid = [len(item.features) for item in batch.items]
        classes = predictions.logits.shape[-1]
        sharing = self.config.sharing
        targets = assign_batch(
            points, batch.moments, batch.labels, valid, self.config, classes, sharing
        )
        if model.training:
            return self.loss(predictions, targets)
        found = int((predictions.mask & targets.positive).sum())
        alone = PointLoss(self.config)
        alone.normalizer = float(max(found, 1))
        return alone(predictions, targets, update=False)

    def state_dict(self) -> dict[str, Any]:
        return self.loss.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss.load_state_dict(state)
