"""VSGN's pyramid: an encoder that halves the length, a decoder that restores it.

B clips, D feature width, C channels, T positions (of the finest level).
"""

from __future__ import annotations

from torch import Tensor, nn

from egolib.mq.config import ModelConfig
from egolib.mq.models.graph import GraphBranch


def conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv1d:
    """A convolution of width 3 that keeps the length, or divides it by the stride.

    Args:
        inputs: channels.
        outputs: channels.
        stride: 1, or 2 to halve the length.
    """
    return nn.Conv1d(inputs, outputs, 3, stride=stride, padding=1)


class PlainLevel(nn.Module):
    """An encoder level without graph: one convolution, strided below the finest level."""

    def __init__(self, config: ModelConfig, level: int):
        super().__init__()
        self.conv = conv3(config.width, config.width, stride=1 if level == 0 else 2)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, C, T) or (B, C, T/2) for x (B, C, T)."""
        level: Tensor = self.conv(x).relu()
        return level


class GraphLevel(nn.Module):
    """An encoder level with a convolution and a graph branch side by side.

    The length is halved after both, so that the graph works on the finer length.
    """

    def __init__(self, config: ModelConfig, level: int):
        super().__init__()
        self.sequential = config.graph_input == "sequential"
        self.conv = conv3(config.width, config.width)
        self.graph = GraphBranch(config)
        self.pool = nn.Identity() if level == 0 else nn.MaxPool1d(2)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, C, T) or (B, C, T/2) for x (B, C, T).

        Args:
            x: features of the finer level.
            lengths: (B,) features of each clip, for stitched neighbours.
        """
        convolved = self.conv(x)
        if self.sequential:
            level: Tensor = self.pool(self.graph(convolved, lengths).relu())
        else:
            level = self.pool((convolved + self.graph(x, lengths)).relu())
        return level


class Pyramid(nn.Module):
    """Stem, encoder and decoder; the decoder adds the encoder's levels on its way up.

    No mask anywhere: padding is zero at the input only, and outputs depend on it.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        level = GraphLevel if config.graph else PlainLevel
        width, steps = config.width, range(config.levels - 1)
        self.stem = conv3(config.feature_width, width)
        self.encoder = nn.ModuleList(level(config, i) for i in range(config.levels))
        self.upsample = nn.ModuleList(
            nn.ConvTranspose1d(width, width, 3, stride=2, padding=1, output_padding=1)
            for _ in steps
        )
        self.lateral = nn.ModuleList(conv3(width, width) for _ in steps)
        self.smooth = nn.ModuleList(conv3(width, width) for _ in range(config.levels))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Decoder levels (B, C, T / 2^l), fine to coarse.

        Args:
            features: (B, D, T), zero behind each clip.
            lengths: (B,) features of each clip, for stitched neighbours.
        """
        x = self.stem(features).relu()
        encoded = []
        for level in self.encoder:
            x = level(x, lengths)
            encoded.append(x)
        x = self.smooth[0](encoded.pop()).relu()
        decoded = [x]
        for upsample, lateral, smooth in zip(
            self.upsample, self.lateral, self.smooth[1:], strict=True
        ):
            x = upsample(x).relu() + lateral(encoded.pop()).relu()
            x = smooth(x).relu()
            decoded.append(x)
        return decoded[::-1]
