"""The encoder that video, question and predictor use: positions, convolutions, self attention.

Shapes: B batch, T positions, C channels, H heads, E channels of a head. Masks (B, T) are
bool, true at valid positions.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nlq.config.span import VslnetConfig
from egolib.nlq.models.vslnet.embedding import Positions
from egolib.nlq.models.vslnet.masks import blocked

NORM_EPSILON = 1e-6


def layer_norm(width: int) -> nn.LayerNorm:
    """The network's layer norm."""
    return nn.LayerNorm(width, eps=NORM_EPSILON)


class SeparableConv(nn.Module):
    """x + dropout(ReLU(pointwise(depthwise(norm(x))))), over (B, T, C)."""

    def __init__(self, width: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = layer_norm(width)
        self.depthwise = nn.Conv1d(
            width, width, kernel, padding=kernel // 2, groups=width, bias=False
        )
        self.pointwise = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, C) from (B, T, C).

        Args:
            x: (B, T, C).
            mask: (B, T) positions that the convolution reads; the others count as zero. None
                for all.
        """
        normed = self.norm(x)
        if mask is not None:
            normed = normed * mask.unsqueeze(2)
        near = self.depthwise(normed.transpose(1, 2)).transpose(1, 2)  # B T C
        encoded: Tensor = x + self.dropout(F.relu(self.pointwise(near)))
        return encoded


class AttentionBlock(nn.Module):
    """Self attention with H heads, then one linear map, each with a residual."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.probability = heads, dropout
        self.attention_norm, self.output_norm = layer_norm(width), layer_norm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) from (B, T, C); masked positions are not attended to."""
        attended = x + self.dropout(self._attend(self.dropout(self.attention_norm(x)), mask))
        change = self.output(self.dropout(self.output_norm(attended)))
        encoded: Tensor = attended + self.dropout(change)
        return encoded

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # B H T E
            for part in (self.query, self.key, self.value)
        )
        bias = blocked(query.new_zeros(()), mask[:, None, None]).to(query.dtype)
        found = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.probability * self.training
        )
        return found.transpose(1, 2).flatten(2)  # B T C


class Encoder(nn.Module):
    """(B, T, C) -> (B, T, C).

    Official behaviour: the mask acts in the attention alone, so that positions near the
    end read the padding through the convolutions; ``padding="per_clip"`` keeps it out.
    """

    def __init__(self, config: VslnetConfig):
        super().__init__()
        self.isolate = config.padding == "per_clip"
        self.positions = Positions(config.max_length, config.width)
        self.convs = nn.ModuleList(
            SeparableConv(config.width, config.kernel, config.dropout)
            for _ in range(config.conv_layers)
        )
        self.attention = AttentionBlock(config.width, config.heads, config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encodes features; ``mask`` (B, T) is true at valid positions."""
        x = self.positions(x)
        for conv in self.convs:
            x = conv(x, mask if self.isolate else None)
        encoded: Tensor = self.attention(x, mask)
        return encoded
