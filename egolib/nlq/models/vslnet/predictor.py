"""The span predictor: where the answer starts and, from that, where it ends.

Shapes: B batch, T positions, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.nlq.config.span import VslnetConfig
from egolib.nlq.models.vslnet.encoder import Encoder, layer_norm
from egolib.nlq.models.vslnet.masks import blocked


class SpanHead(nn.Module):
    """Logits (B, T) from encoded and plain features: a norm, then two layers."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = layer_norm(width)
        self.hidden, self.output = nn.Linear(2 * width, width), nn.Linear(width, 1)

    def forward(self, encoded: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, T), -1e30 lower in the padding.

        Args:
            encoded: (B, T, C), what the predictor's encoder made of x.
            x: (B, T, C), what it read.
            mask: (B, T).
        """
        both = torch.cat([self.norm(encoded), x], 2)
        return blocked(self.output(self.hidden(both).relu()).squeeze(2), mask)


class SpanPredictor(nn.Module):
    """One encoder, used twice: the ends are conditioned on the encoded starts."""

    def __init__(self, config: VslnetConfig):
        super().__init__()
        self.encoder = Encoder(config)
        self.start, self.end = SpanHead(config.width), SpanHead(config.width)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T) of starts and ends from features (B, T, C)."""
        starts = self.encoder(x, mask)
        ends = self.encoder(starts, mask)
        return self.start(starts, x, mask), self.end(ends, x, mask)
