"""The C4 region head of mega.pytorch: the last backbone stage runs inside the head.

B images; H, W rows and columns of a map; R regions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.resnet import initialise, make_stage, stage_channels
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.heads import RegionHead


class C4Head(RegionHead):
    """The last backbone stage on the whole map, then RoIAlign and the region head.

    Args:
        channels: of the C4 map.
    """

    def __init__(self, channels: int, config: ModelConfig) -> None:
        last = stage_channels(config.resnet)[-1]
        reduced = config.head.reduced_channels
        super().__init__(reduced or last, config)
        self.stage = make_stage(channels, len(config.resnet.blocks) - 1, config.resnet)
        self.reduce = nn.Conv2d(last, reduced, 1) if reduced else None
        initialise(self.stage)

    def whole_map(self, c4: Tensor) -> Tensor:
        """The map that regions are read from, (B, C, H, W)."""
        x = self.stage(c4)
        return x if self.reduce is None else F.relu(self.reduce(x))

    def pool(self, maps: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """Features (R, C * S * S) of regions, from the C4 map of every image."""
        return super().pool([self.whole_map(maps[0])], regions)
