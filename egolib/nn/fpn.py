"""Feature pyramid: maps of several strides with the same number of channels.

B images; H, W rows and columns of a map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.nn.config import PyramidConfig


class FeaturePyramid(nn.Module):
    """Lateral 1x1 convolutions, a top-down sum, 3x3 output convolutions, extra levels.

    Args:
        in_channels: channels of all backbone maps, finest first; those before
            ``config.first`` are ignored.

    Lin et al., CVPR 2017, section 3. Nearest-neighbour upsampling, no activation.
    """

    def __init__(self, in_channels: Sequence[int], config: PyramidConfig) -> None:
        super().__init__()
        self.config = config
        inputs, width = list(in_channels)[config.first :], config.channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in inputs)
        self.output = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in inputs)
        missing = config.levels - len(inputs) if config.extra == "conv" else 0
        self.extra = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(missing))
        convolutions: list[nn.Conv2d] = [*self.lateral, *self.output, *self.extra]
        for conv in convolutions:
            init.xavier(conv)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """``config.levels`` maps (B, channels, H_l, W_l), finest first."""
        sums = [conv(x) for conv, x in zip(self.lateral, maps[self.config.first :], strict=True)]
        for i in range(len(sums) - 1, 0, -1):
            sums[i - 1] = sums[i - 1] + F.interpolate(sums[i], sums[i - 1].shape[-2:])
        levels = [conv(x) for conv, x in zip(self.output, sums, strict=True)]
        for i, conv in enumerate(self.extra):
            levels.append(conv(F.relu(levels[-1]) if i else levels[-1]))
        while len(levels) < self.config.levels:
            levels.append(levels[-1][:, :, ::2, ::2])
        return levels


class MapReduction(nn.Module):
    """One 3x3 convolution and ReLU on one map: the "neck" of DC5 detectors."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        init.xavier(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x))  # (B, outputs, H, W)
