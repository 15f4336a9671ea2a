"""Heads over a feature pyramid: class logits and distances to both ends for every point.

Shapes: B batch, T positions of a level, C channels, P points of all levels, K classes.
All tensors are (B, T, C); masks are (B, T, 1) boolean, true at valid positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.points import Predictions
from egolib.nn.temporal_blocks import ConvStack, MaskedConv
from egolib.nn.temporal_config import HeadSettings


class PointHead(nn.Module):
    """Convolutions shared by all levels, then one convolution to the outputs.

    Args:
        config: widths and layers.
        outputs: channels of the last convolution.
        eps: of the layer norms.
        remask: see ``ConvStack``.
    """

    def __init__(
        self, config: HeadSettings, outputs: int, *, eps: float = 1e-5, remask: bool = False
    ):
        super().__init__()
        width, kernel, layers = config.head_width, config.head_kernel, config.head_layers - 1
        self.body = ConvStack(
            config.width, width, kernel, layers, norm=config.head_norm, eps=eps, remask=remask
        )
        self.output = MaskedConv(width if layers else config.width, outputs, kernel)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        output: Tensor = self.output(self.body(x, mask), mask)
        return output


def predict_points(
    levels: Sequence[Tensor],
    masks: Sequence[Tensor],
    classification: nn.Module,
    regression: nn.Module,
    scales: Iterable[Tensor],
) -> Predictions:
    """What two heads say about all points of a pyramid.

    Args:
        levels: (B, T, C) of each level, fine to coarse.
        masks: (B, T, 1) of each.
        classification: head to K logits.
        regression: head to 2 distances in strides; negative ones become 0.
        scales: one factor a level, on the distances.
    """
    logits = [classification(x, m) for x, m in zip(levels, masks, strict=True)]
    offsets = [
        F.relu(regression(x, m) * scale) for x, m, scale in zip(levels, masks, scales, strict=True)
    ]
    return Predictions(
        torch.cat(logits, 1),
        torch.cat(offsets, 1),
        torch.cat(list(masks), 1).squeeze(2),
        tuple(m.shape[1] for m in masks),
    )
