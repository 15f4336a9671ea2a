"""Attention over positions in time: banded and global self attention, cross attention.

Shapes: B batch, T video positions (S = T / stride after down-sampling), L tokens,
C channels, H heads, D = C / H, W window, h = W // 2.
All tensors are (B, T, C); masks are (B, T, 1) boolean, true at valid positions.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to the logits of keys that take no part. Beside any key that does, the weight
# is exactly zero in float32; unlike an infinity it keeps rows without a key finite.
EXCLUDED = -1e4


class DepthwiseConv(nn.Conv1d):
    """Kernel 3 over time for each channel by itself, no bias, masked afterwards."""

    def __init__(self, channels: int, stride: int):
        super().__init__(channels, channels, 3, stride, padding=1, groups=channels, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """(B, T, C) -> (B, S, C); ``mask`` is that of the output, (B, S, 1)."""
        stride = self.stride[0]
        reach = (mask.shape[1] - 1) * stride + 1
        taps = self.weight.squeeze(1).t()  # 3 C
        x = F.pad(x, (0, 0, 1, 1))
        y = x[:, :reach:stride] * taps[0]
        y = torch.addcmul(y, x[:, 1 : 1 + reach : stride], taps[1])
        y = torch.addcmul(y, x[:, 2 : 2 + reach : stride], taps[2])
        return y * mask


class Projection(nn.Module):
    """Depthwise convolution, layer norm and a linear map: queries, keys or values."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = DepthwiseConv(channels, stride)
        self.norm = nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        projected: Tensor = self.linear(self.norm(self.conv(x, mask)))
        return projected


class SelfAttention(nn.Module):
    """Multi-head self attention whose queries, keys and values come from depthwise convolutions.

    Args:
        channels: C.
        heads: H; each takes a contiguous group of C / H channels.
        stride: 1, or 2 for a block that halves the length.
        window: W, odd, for attention to |distance| <= W // 2; 1 or less for all.
        relative_bias: learn a bias for each distance inside the window.
        dropout: of the output.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        stride: int = 1,
        window: int = -1,
        relative_bias: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.heads, self.stride, self.window = heads, stride, window
        self.query = Projection(channels, stride)
        self.key = Projection(channels, stride)
        self.value = Projection(channels, stride)
        self.output = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.relative_bias: nn.Parameter | None = None
        if relative_bias and window > 1:
            self.relative_bias = nn.Parameter(torch.empty(heads, window))
            nn.init.trunc_normal_(self.relative_bias, std=(2.0 / channels) ** 0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) -> (B, S, C), zero at invalid positions.

        Args:
            x: the positions.
            mask: of the output, (B, S, 1).
        """
        query, key, value = (p(x, mask) for p in (self.query, self.key, self.value))
        if self.window > 1:
            y = banded_attention(
                query, key, value, mask, self.heads, self.window, self.relative_bias
            )
        else:
            y = global_attention(query, key, value, mask, self.heads)
        output: Tensor = self.dropout(self.output(y))
        return output * mask


class CrossAttention(nn.Module):
    """Plain multi-head attention of video positions to tokens."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, x: Tensor, mask: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """(B, T, C) video and (B, L, C) tokens -> (B, T, C), zero at invalid positions.

        A sample without any valid token gets zeros.

        Args:
            x: (B, T, C) video positions.
            mask: (B, T, 1) valid ones.
            tokens: (B, L, C).
            token_mask: (B, L, 1) valid ones.
        """
        y = global_attention(
            self.query(x), self.key(tokens), self.value(tokens), token_mask, self.heads
        )
        output: Tensor = self.output(y)
        return output * (mask & token_mask.any(1, keepdim=True))


def global_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, heads: int) -> Tensor:
    """(B, T, C) queries to all valid ones of (B, L, C) keys; returns (B, T, C).

    Rows whose keys are all invalid hold finite values without meaning.

    Args:
        query: (B, T, C).
        key: (B, L, C).
        value: (B, L, C).
        mask: (B, L, 1) valid keys.
        heads: H.
    """
    q, k, v = (_split(x, 2, heads, -1).transpose(1, 2) for x in (query, key, value))  # B H T D
    bias = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, EXCLUDED)  # B L 1
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.transpose(1, 2).unsqueeze(1))
    return y.transpose(1, 2).flatten(2)


def banded_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    heads: int,
    window: int,
    relative_bias: Tensor | None = None,
) -> Tensor:
    """(B, T, C) queries to the valid keys within ``window // 2`` positions; returns (B, T, C).

    Chunks of queries meet the stretch of keys that they can reach, so memory and
    work grow with T, and T need not be a multiple of anything.

    Args:
        query: (B, T, C).
        key: (B, T, C).
        value: (B, T, C).
        mask: (B, T, 1), valid positions; rows of the others are zero.
        heads: H.
        window: W, odd.
        relative_bias: (H, window), indexed by key - query + window // 2.
    """
    length, reach = query.shape[1], window // 2
    chunk = max(8, 2 * reach)
    tail = -length % chunk
    queries = _split(F.pad(query, (0, 0, 0, tail)), 1, -1, chunk)  # B N chunk C
    queries = _split(queries, 3, heads, -1).transpose(2, 3)  # B N H chunk D
    keys, values = (_stretches(x, heads, chunk, reach, tail) for x in (key, value))  # B N H D span
    band = _band(chunk, reach, query.device)
    usable = F.pad(mask.squeeze(2), (reach, reach + tail)).unfold(1, chunk + 2 * reach, chunk)
    usable = usable[:, :, None, None] & (band >= 0)  # B N 1 chunk span
    logits = (queries * queries.shape[-1] ** -0.5) @ keys  # B N H chunk span
    if relative_bias is not None:
        logits = logits + relative_bias[:, band.clamp(0, window - 1)]
    weights = logits.masked_fill(~usable, EXCLUDED).softmax(-1)
    y: Tensor = (weights @ values.transpose(3, 4)).transpose(2, 3)  # B N chunk H D
    y = y.flatten(3).flatten(1, 2)[:, :length]
    return y * mask


def _stretches(x: Tensor, heads: int, chunk: int, reach: int, tail: int) -> Tensor:
    """(B, T, C) -> (B, N, H, D, chunk + 2 reach): what each chunk of queries can reach."""
    x = F.pad(x, (0, 0, reach, reach + tail)).unfold(1, chunk + 2 * reach, chunk)
    return _split(x, 2, heads, -1)


def _split(x: Tensor, axis: int, *sizes: int) -> Tensor:
    """One axis as several of these sizes; one of them may be -1."""
    return torch.unflatten(x, axis, sizes)


@lru_cache(maxsize=64)
def _band(chunk: int, reach: int, device: torch.device) -> Tensor:
    """(chunk, span) index of each key's distance in the window, -1 outside it."""
    with torch.inference_mode(False):  # a cached tensor must serve training too
        distance = torch.arange(chunk + 2 * reach) - torch.arange(chunk)[:, None]
        return distance.masked_fill((distance < 0) | (distance > 2 * reach), -1).to(device)
