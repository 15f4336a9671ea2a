"""What VSGN reads off the decoder: classes and boxes of all anchors, and three curves.

B clips, C channels, T positions, A anchors, K classes, S anchor scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from egolib.mq.config import ModelConfig
from egolib.mq.models.pyramid import conv3


class DetectionHead(nn.Module):
    """Two towers, shared by all levels: class logits and offsets of every anchor.

    Group norm runs over the whole padded length, so that outputs depend on padding.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        scales = len(config.anchor_scales)
        self.classes = config.classes
        self.class_tower = _tower(config)
        self.box_tower = _tower(config)
        self.class_output = conv3(config.width, scales * config.classes)
        self.box_output = conv3(config.width, scales * 2)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (B, A, K) and offsets (B, A, 2) for levels (B, C, T / 2^l), fine to coarse."""
        logits = [self.class_output(self.class_tower(x)) for x in levels]
        offsets = [self.box_output(self.box_tower(x)) for x in levels]
        return flatten_levels(logits, self.classes), flatten_levels(offsets, 2)


def flatten_levels(outputs: Sequence[Tensor], values: int) -> Tensor:
    """(B, A, values) in anchor order from levels (B, S * values, T / 2^l), fine to coarse.

    Args:
        outputs: head outputs of each level; the scale is the outer channel.
        values: values of one anchor.
    """
    flat = [x.transpose(1, 2).reshape(len(x), -1, values) for x in outputs]  # B T*S values
    return torch.cat(flat, 1)


def _tower(config: ModelConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(config.head_layers):
        norm = nn.GroupNorm(config.norm_groups, config.width)
        layers += [conv3(config.width, config.width), norm, nn.ReLU()]
    return nn.Sequential(*layers)


class CurveHead(nn.Module):
    """A probability for every position: actionness, startness or endness."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.hidden = conv3(config.width, config.width)
        self.output = nn.Conv1d(config.width, 1, 1)

    def forward(self, finest: Tensor) -> Tensor:
        """(B, T) in [0, 1] for the finest decoder level (B, C, T)."""
        curve: Tensor = self.output(self.hidden(finest).relu())
        return curve.float().sigmoid().squeeze(1)
