"""The training loss of VSLNet: where the answer starts, where it ends, what lies in it.

Shapes: B batch, T positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nlq.config.span import SpanLossConfig
from egolib.nlq.data.vslnet.batches import SpanBatch
from egolib.nlq.models.vslnet.network import Spans


def location_loss(spans: Spans, start: Tensor, end: Tensor) -> Tensor:
    """Mean cross entropy of the starts plus that of the ends.

    Args:
        spans: the network's outputs.
        start: (B,) int64, first cell of the answer.
        end: (B,) int64, last cell of the answer, inclusive.
    """
    return F.cross_entropy(spans.start.float(), start) + F.cross_entropy(spans.end.float(), end)


def highlight_loss(spans: Spans, labels: Tensor, config: SpanLossConfig) -> Tensor:
    """Weighted mean over valid positions of the binary cross entropy of the highlights.

    Official behaviour: it is computed from float32 probabilities, see
    ``SpanLossConfig.highlight_loss``.

    Args:
        spans: the network's outputs.
        labels: (B, T), 1 where highlighted, else 0.
        config: weights and which form.
    """
    labels, mask = labels.float(), spans.mask.float()
    if config.highlight_loss == "official":
        with torch.autocast(labels.device.type, enabled=False):
            loss = F.binary_cross_entropy(spans.highlight_scores, labels, reduction="none")
    else:
        logits = spans.highlight.float()
        loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    weights = mask * torch.where(labels > 0, config.foreground_weight, 1.0)
    return (loss * weights).sum() / mask.sum()


class SpanLoss:
    """From a network and a batch to named losses, as the engine wants it.

    Args:
        config: weights of the parts.
    """

    def __init__(self, config: SpanLossConfig | None = None):
        self.config = config or SpanLossConfig()

    def __call__(self, model: nn.Module, batch: SpanBatch) -> dict[str, Tensor]:
        """``loss`` (the total), ``location`` and ``highlight``, scalars."""
        spans = model(batch.video, batch.video_mask, batch.tokens, batch.token_mask)
        targets = batch.require_targets()
        location = location_loss(spans, targets.start, targets.end)
        highlight = highlight_loss(spans, targets.highlight, self.config)
        total = location + self.config.highlight_weight * highlight
        return {"loss": total, "location": location, "highlight": highlight}
