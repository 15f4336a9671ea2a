"""From pooled regions to vectors that can be compared.

Legend: R regions, C channels (256), S cells a side (14), E width of the vectors (1024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.vq2d.config import HeadConfig


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions without bias or norm around the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(functional.relu_(self.conv1(x)))
        return functional.relu_(y.add_(x) if not torch.is_grad_enabled() else y + x)


class Projector(nn.Module):
    """Convolutions, global mean, two linear layers; (R, C, S, S) -> (R, E)."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        if config.projector == "residual":
            blocks: list[nn.Module] = [
                ResidualBlock(channels) for _ in range(config.residual_layers)
            ]
        else:
            blocks = [
                nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
                for _ in range(3)
            ]
        self.blocks = nn.Sequential(*blocks)
        self.linear1 = nn.Linear(channels, config.hidden)
        self.linear2 = nn.Linear(config.hidden, config.hidden)

    def forward(self, regions: Tensor) -> Tensor:
        x = self.blocks(regions).mean(dim=(2, 3))  # (R, C)
        result: Tensor = self.linear2(functional.relu_(self.linear1(x)))
        return result


class Projectors(nn.Module):
    """One projector for regions and references, or one each."""

    def __init__(self, channels: int, config: HeadConfig):
        super().__init__()
        self.region = Projector(channels, config)
        self.own_reference = None if config.shared else Projector(channels, config)

    @property
    def reference(self) -> Projector:
        """What projects references."""
        return self.own_reference or self.region
