"""The network that scores the shots of a segment for a query.

Legend: K segments, M places of a segment, D width, H heads, E = D / H.

Pramanick et al., EgoVLPv2 (arXiv 2307.05463, appendix): a transformer over the shots'
fused features. Every segment is a sequence of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egolib.vlp.config import SummarizerConfig


def position_codes(places: int, width: int, kind: str = "official") -> Tensor:
    """(1, M, D) float32 codes of the places in a segment.

    Official behaviour: channel i has the frequency 10000^(-2 i / D), so that exponents
    run to 2 instead of 1, and the sine and cosine of a pair have different ones.

    Args:
        places: M.
        width: D, even.
        kind: ``standard`` gives a pair the frequency 10000^(-i / D) (arXiv 1706.03762).
    """
    place = torch.arange(places, dtype=torch.float64)[:, None]
    channel = torch.arange(width, dtype=torch.float64)
    if kind == "standard":
        exponent = channel // 2 * 2 / width
    else:
        exponent = 2 * channel / width
    angles = place / 10000**exponent
    codes = torch.where(channel % 2 == 0, angles.sin(), angles.cos())
    return codes.float()[None]


def padding_bias(lengths: Tensor, places: int, padding: str = "official") -> Tensor:
    """(K, 1, 1, M) what is added to attention scores, from lengths (K,).

    Official behaviour: 1 at padding, which favours it over shots. ``masked`` leaves it
    out; an empty segment, whose scores are never used, attends to all of it.

    Args:
        lengths: shots of every segment.
        places: M.
        padding: ``official`` or ``masked``.
    """
    empty = torch.arange(places, device=lengths.device) >= lengths[:, None]  # K M
    if padding == "official":
        return empty.float()[:, None, None]
    hidden = empty & (lengths > 0)[:, None]
    return torch.zeros(hidden.shape, device=lengths.device).masked_fill(hidden, -math.inf)[
        :, None, None
    ]


class SummarizerLayer(nn.Module):
    """A post-norm transformer layer with ReLU (arXiv 1706.03762).

    Args:
        width: D.
        heads: H.
        hidden: channels of the feed-forward part.
        dropout: of attention weights, of the hidden channels and of both branches.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.attention_norm = nn.LayerNorm(width, eps=1e-5)
        self.hidden_norm = nn.LayerNorm(width, eps=1e-5)
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """PyTorch's own start of its transformer layer."""
        for linear in (self.qkv, self.out, self.expand, self.contract):
            linear.reset_parameters()
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)
        self.attention_norm.reset_parameters()
        self.hidden_norm.reset_parameters()

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(K, M, D) from x (K, M, D) and a bias (K, 1, 1, M) on attention scores."""
        x = self.attention_norm(x + self.dropout(self._attend(x, bias)))
        hidden = self.dropout(F.relu(self.expand(x)))
        result: Tensor = self.hidden_norm(x + self.dropout(self.contract(hidden)))
        return result

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # K M 3 H E
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # K H M E
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias.to(query.dtype),
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        result: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return result


class Summarizer(nn.Module):
    """Scores of all places of segments; those of padding mean nothing.

    Official behaviour: a third layer, from which both others are copied at the start, stays
    in the weights and is never used or changed.
    """

    positions: Tensor

    def __init__(self, config: SummarizerConfig):
        super().__init__()
        self.config = config
        sizes = config.width, config.heads, config.hidden, config.dropout
        codes = position_codes(config.longest, config.width, config.positions)
        self.register_buffer("positions", codes)
        self.template = SummarizerLayer(*sizes)
        self.layers = nn.ModuleList(SummarizerLayer(*sizes) for _ in range(config.layers))
        self.project = nn.Linear(config.width, config.head_width)
        self.head_dropout = nn.Dropout(config.head_dropout)
        self.score = nn.Linear(config.head_width, 1)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(K, M) logits of segments x (K, M, D) with so many shots each (K,)."""
        bias = padding_bias(lengths, x.shape[1], self.config.padding)
        x = x + self.positions[:, : x.shape[1]]
        for layer in self.layers:
            x = layer(x, bias)
        hidden = self.head_dropout(F.relu(self.project(x)))
        scores: Tensor = self.score(hidden)[..., 0]  # K M
        return scores

    def score_shots(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(n,) logits of the shots of a video in order, from x (S, M, D) and lengths (S,).

        Empty segments are not computed.
        """
        used = lengths > 0
        scores = self.forward(x[used], lengths[used])
        real = torch.arange(x.shape[1], device=x.device) < lengths[used][:, None]
        return scores[real]


def build_summarizer(
    config: SummarizerConfig, generator: torch.Generator | None = None
) -> Summarizer:
    """A summariser with initial weights.

    Args:
        config: the network.
        generator: seeds the weights; the default one if None.
    """
    if generator is None:
        return _initialised(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return _initialised(config)


@torch.no_grad()
def _initialised(config: SummarizerConfig) -> Summarizer:
    """Official behaviour: all layers start with equal values."""
    model = Summarizer(config)
    model.template.reset_parameters()
    for layer in model.layers:
        assert isinstance(layer, SummarizerLayer)
        if config.layer_init == "independent":
            layer.reset_parameters()
        else:
            layer.load_state_dict(model.template.state_dict())
    nn.init.normal_(model.score.weight, std=0.1)
    nn.init.constant_(model.score.bias, config.last_bias)
    return model
