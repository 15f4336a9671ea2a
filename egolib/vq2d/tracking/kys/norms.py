"""The norm of IoU net and predictor."""

from __future__ import annotations

from torch import nn

GROUPS = 8


def make_norm(channels: int, kind: str) -> nn.Module:
    """``batch``: batch norm as published; ``group``: groups of the channels of each image."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(GROUPS if channels % GROUPS == 0 and channels > GROUPS else 1, channels)
