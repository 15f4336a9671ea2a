"""A RoBERTa-style text encoder whose layers can attend to another sequence.

Legend: B batch, L tokens, S context tokens, D width, C context width, H heads.

The layers are post-norm (Liu et al., arXiv 1907.11692). A layer with ``context_width``
adds gated cross-attention between its self-attention and the first norm, as
EgoVLPv2 does (arXiv 2307.05463, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from egolib.nn.compiled import is_compiled


def attention_bias(mask: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """What is added to attention scores so that padding is not attended to.

    The lowest finite number stands where the mask is 0, not minus infinity, so that a
    row without any token gives a mean and no NaN.

    Args:
        mask: (B, S), 1 for tokens and 0 for padding.
        dtype: of the result.

    Returns:
        (B, 1, 1, S).
    """
    return (1.0 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min


def fitting(bias: Tensor | None, scores: Tensor) -> Tensor | None:
    """The bias in the number format of what it is added to, still finite."""
    if bias is None or bias.dtype == scores.dtype:
        return bias
    return bias.clamp_min(torch.finfo(scores.dtype).min).to(scores.dtype)


class TextEmbeddings(nn.Module):
    """Word, position and type embeddings, then a layer norm.

    Positions count the tokens that are not padding, from ``pad_id + 1``; padding has
    position ``pad_id``. The one token type is a constant that is added everywhere.

    Args:
        vocabulary_size: token ids.
        width: D.
        positions: rows of the position table.
        pad_id: the id of padding; its rows get no gradient.
    """

    def __init__(
        self, vocabulary_size: int, width: int, positions: int, pad_id: int, dropout: float = 0.0
    ):
        super().__init__()
        self.pad_id = pad_id
        self.words = nn.Embedding(vocabulary_size, width, padding_idx=pad_id)
        self.positions = nn.Embedding(positions, width, padding_idx=pad_id)
        self.types = nn.Embedding(1, width)
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.dropout = nn.Dropout(dropout)

    def position_ids(self, ids: Tensor) -> Tensor:
        """(B, L) rows of the position table for token ids (B, L)."""
        real = ids.ne(self.pad_id)
        return real.cumsum(1) * real + self.pad_id

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L, D) for token ids (B, L)."""
        embedded = self.words(ids) + self.types.weight[0] + self.positions(self.position_ids(ids))
        result: Tensor = self.dropout(self.norm(embedded))
        return result


class Attention(nn.Module):
    """Multi-head attention with separate query, key, value and output layers.

    Args:
        width: D.
        heads: H.
        context_width: C, the width of keys' and values' input.
        dropout: of the attention weights and of the output.
    """

    def __init__(self, width: int, heads: int, context_width: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width, width)
        self.value = nn.Linear(context_width, width)
        self.out = nn.Linear(width, width)
        self.out_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, context: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B, L, D) from x (B, L, D), context (B, S, C) and a bias (B, 1, 1, S) on scores.

        Args:
            x: (B, L, D), asks.
            context: (B, S, C), is asked.
            bias: (B, 1, 1, S) on the scores, or None.
        """
        query = self._split(self.query(x))  # B H L D/H
        attended = F.scaled_dot_product_attention(
            query,
            self._split(self.key(context)),
            self._split(self.value(context)),
            attn_mask=fitting(bias, query),
            dropout_p=self.dropout if self.training else 0.0,
        )
        result: Tensor = self.out_dropout(self.out(attended.transpose(1, 2).flatten(2)))
        return result

    def _split(self, x: Tensor) -> Tensor:
        result: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
        return result


class TextLayer(nn.Module):
    """One post-norm layer, with gated cross-attention where ``context_width`` is given.

    Args:
        width: D.
        heads: H.
        mlp_width: hidden channels of the MLP.
        context_width: C of the sequence that it may attend to; None for none.
        dropout: hidden and attention dropout.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        context_width: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.attention = Attention(width, heads, width, dropout)
        self.attention_norm = nn.LayerNorm(width, eps=1e-5)
        self.cross: Attention | None = None
        if context_width is not None:
            self.cross = Attention(width, heads, context_width, dropout)
            self.cross_gate = nn.Parameter(torch.zeros(1))
        self.expand = nn.Linear(width, mlp_width)
        self.contract = nn.Linear(mlp_width, width)
        self.mlp_dropout = nn.Dropout(dropout)
        self.mlp_norm = nn.LayerNorm(width, eps=1e-5)

    def forward(self, x: Tensor, bias: Tensor | None, context: Tensor | None = None) -> Tensor:
        """(B, L, D); without context (B, S, C) the cross-attention is passed over.

        Args:
            x: (B, L, D).
            bias: (B, 1, 1, L), see ``attention_bias``.
            context: (B, S, C), or None.
        """
        attended = self.attention(x, x, bias)
        if context is not None:
            assert self.cross is not None, "this layer has no cross-attention"
            attended = attended + self.cross_gate * self.cross(attended, context)
        x = self.attention_norm(attended + x)
        result: Tensor = self.mlp_norm(self.mlp_dropout(self.contract(F.gelu(self.expand(x)))) + x)
        return result


class TextEncoder(nn.Module):
    """Embeddings and layers; the last layers may attend to another sequence.

    Args:
        vocabulary_size: number of tokens.
        width: of the hidden states.
        positions: longest text in tokens.
        pad_id: the token that fills up.
        heads: of the attention.
        mlp_width: inside the feed-forward part.
        dropout: of embeddings, attention and feed-forward part.
        depth: number of layers.
        fusion_depth: how many of the last layers have cross-attention.
        context_width: width of what those attend to.
        gradient_checkpointing: recompute each layer in the backward pass.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        width: int,
        positions: int,
        pad_id: int,
        heads: int,
        mlp_width: int,
        depth: int,
        fusion_depth: int = 0,
        context_width: int | None = None,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.embeddings = TextEmbeddings(vocabulary_size, width, positions, pad_id, dropout)
        self.layers = nn.ModuleList(
            TextLayer(
                width,
                heads,
                mlp_width,
                context_width if i >= depth - fusion_depth else None,
                dropout,
            )
            for i in range(depth)
        )

    def forward(self, ids: Tensor, mask: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Hidden states (B, L, D) of token ids (B, L) after layers ``[start, stop)``, unfused.

        Args:
            ids: (B, L) int64.
            mask: (B, L), 1 for tokens that count.
            start: first layer.
            stop: layer before which to end; None for all.
        """
        return self.run(self.embeddings(ids), attention_bias(mask), start, stop)

    def run(self, x: Tensor, bias: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Hidden states (B, L, D) after the layers ``[start, stop)``, without context.

        Args:
            x: (B, L, D).
            bias: (B, 1, 1, L), see ``attention_bias``.
            start: first layer.
            stop: layer before which to end; None for all.
        """
        for layer in self.layers[start:stop]:
            x = self.run_layer(layer, x, bias)
        return x

    def run_layer(
        self, layer: nn.Module, x: Tensor, bias: Tensor, context: Tensor | None = None
    ) -> Tensor:
        """One layer, recomputed in the backward pass where that is asked for.

        Args:
            layer: one of ``layers``.
            x: (B, L, D).
            bias: (B, 1, 1, L), see ``attention_bias``.
            context: (B, S, C), or None.
        """
        wanted = self.gradient_checkpointing and self.training and torch.is_grad_enabled()
        if wanted and not is_compiled(layer):
            return checkpoint(layer, x, bias, context, use_reentrant=False)  # type: ignore[no-any-return]
        return layer(x, bias, context)  # type: ignore[no-any-return]
