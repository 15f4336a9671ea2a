"""Masked convolutions, stochastic depth, positions, and the block of ActionFormer and GroundNLQ.

Shapes: B batch, T positions (S = T / stride after down-sampling), L tokens, C channels.
All tensors are (B, T, C); masks are (B, T, 1) boolean, true at valid positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.temporal_attention import CrossAttention, SelfAttention
from egolib.nn.temporal_config import BlockSettings


class Tokens(NamedTuple):
    """A token stream: values (B, L, C), mask (B, L, 1)."""

    values: Tensor
    mask: Tensor


class MaskedConv(nn.Conv1d):
    """Convolution over time that keeps the length; outputs at invalid positions are zero.

    Official behaviour: the mask comes after the convolution, so positions next to
    the end read the padding as it is.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: width, odd.
        bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.transpose(1, 2)).transpose(1, 2) * mask


class ConvStack(nn.Module):
    """Convolutions, each followed by layer norm (by option) and ReLU.

    Official behaviour (GroundNLQ, ActionFormer's own code): the ReLU is not masked again, so
    invalid positions hold the ReLU of the norm's bias; ``remask`` zeroes them, as OpenTAD does.

    Args:
        inputs: channels.
        width: channels of every output.
        kernel: width, odd.
        layers: how many.
        norm: whether layer norms follow the convolutions, which then have no bias.
        eps: of the norms.
        remask: zero the outputs at invalid positions.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        layers: int,
        *,
        norm: bool,
        eps: float = 1e-5,
        remask: bool = False,
    ):
        super().__init__()
        self.remask = remask
        sizes = [inputs, *[width] * layers]
        self.convs = nn.ModuleList(
            MaskedConv(a, b, kernel, bias=not norm) for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(width, eps) if norm else nn.Identity() for _ in range(layers)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x, mask)))
            if self.remask:
                x = x * mask
        return x


class StochasticDepth(nn.Module):
    """A residual branch times a learned gain, skipped for whole samples in training."""

    def __init__(self, channels: int, probability: float):
        super().__init__()
        self.gain = nn.Parameter(torch.full((channels,), 1e-4))
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.gain
        if not self.training or self.probability == 0:
            return x
        kept = 1 - self.probability
        decisions = (kept + torch.rand(len(x), 1, 1, device=x.device)).floor().to(x.dtype)
        return x / kept * decisions


class Block(nn.Module):
    """One pre-norm transformer block: self attention, attention to token streams, MLP.

    Args:
        config: of the network.
        streams: names of the token streams that video positions attend to, in order;
            empty for a block without cross attention.
        stride: 2 halves the length.
        window: of the self attention; 1 or less is global.
        attention_dropout: of the self attention's output.
    """

    def __init__(
        self,
        config: BlockSettings,
        *,
        streams: tuple[str, ...] = (),
        stride: int = 1,
        window: int = -1,
        attention_dropout: float = 0.0,
    ):
        super().__init__()
        width, heads = config.width, config.heads
        self.stride = stride
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(
            width,
            heads,
            stride=stride,
            window=window,
            relative_bias=config.relative_bias,
            dropout=attention_dropout,
        )
        self.cross_norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in streams})
        self.cross = nn.ModuleDict({name: CrossAttention(width, heads) for name in streams})
        self.mlp_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.attention_depth = _depth(width, config.drop_path)
        self.mlp_depth = _depth(width, config.drop_path)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        streams: Mapping[str, Tokens] | None = None,
        *,
        isolate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """(B, T, C) and mask (B, T, 1) -> (B, S, C) and mask (B, S, 1).

        Args:
            x: the positions.
            mask: which of them are valid.
            streams: what they attend to.
            isolate: hide invalid positions from the convolutions, so that a sample does
                not depend on how far its batch pads it.
        """
        x, mask = self.attend_self(x, mask, isolate=isolate)
        x = self.attend_tokens(x, mask, streams or {})
        return self.transform(x, mask), mask

    def attend_self(
        self, x: Tensor, mask: Tensor, *, isolate: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Self attention at the block's stride; the residual is max-pooled to match.

        Args:
            x: (B, T, C).
            mask: (B, T, 1).
            isolate: see ``forward``.
        """
        normed = self.attention_norm(x)
        if isolate:
            normed = normed * mask
        mask = mask[:, :: self.stride]
        attended = self.attention(normed, mask)
        residual = x if self.stride == 1 else max_pool(x)
        return residual * mask + self.attention_depth(attended), mask

    def attend_tokens(self, x: Tensor, mask: Tensor, streams: Mapping[str, Tokens]) -> Tensor:
        """Attention to each token stream in turn.

        Official behaviour: one norm serves video and tokens, and the gain is that of
        the self attention.

        Args:
            x: (B, S, C).
            mask: (B, S, 1).
            streams: by name.
        """
        for name, cross in self.cross.items():
            norm, (tokens, token_mask) = self.cross_norms[name], streams[name]
            attended = cross(norm(x), mask, norm(tokens), token_mask)
            x = x * mask + self.attention_depth(attended)
        return x

    def transform(self, x: Tensor, mask: Tensor) -> Tensor:
        """The MLP, position by position."""
        hidden = self.dropout(F.gelu(self.expand(self.mlp_norm(x))))
        change: Tensor = self.mlp_depth(self.dropout(self.contract(hidden)) * mask)
        return x + change


def max_pool(x: Tensor) -> Tensor:
    """(B, T, C) -> (B, ceil(T / 2), C): the largest of positions 2s - 1, 2s, 2s + 1."""
    x = F.pad(x, (0, 0, 1, x.shape[1] % 2), value=float("-inf"))
    return torch.maximum(torch.maximum(x[:, :-1:2], x[:, 1::2]), x[:, 2::2])


def _depth(channels: int, probability: float) -> nn.Module:
    """Stochastic depth; a network built without it has no gains either."""
    return StochasticDepth(channels, probability) if probability > 0 else nn.Identity()


@lru_cache(maxsize=8)
def position_table(length: int, max_length: int, channels: int, device: torch.device) -> Tensor:
    """(length, C) sinusoids divided by sqrt(C); stretched beyond ``max_length``.

    Even channels hold sines, odd ones cosines, of position / 10000^(2 floor(j/2) / C).

    Args:
        length: rows.
        max_length: rows of the table that a longer one stretches.
        channels: columns.
        device: where it is needed.
    """
    with torch.inference_mode(False):  # a cached tensor must serve training too
        channel = torch.arange(channels)
        rate = 10000.0 ** (-2 * (channel // 2).double() / channels)
        angle = torch.arange(max_length).double()[:, None] * rate
        table = torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
        table = table / math.sqrt(channels)
        if length > max_length:
            table = F.interpolate(table.t()[None], length, mode="linear", align_corners=False)
            table = table[0].t()
        return table[:length].to(device)
