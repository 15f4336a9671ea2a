"""Set heads: attention among the regions of a frame (CocoFormer, Xu et al., 2022).

Legend: B frames, N regions, E width of projected regions, D width of tokens.

A comparison takes regions (B, N, E) and a reference (B, 1, E) and gives region logits
(B, N) and frame logits (B,) or None.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.vq2d.config import HeadConfig

Logits = tuple[Tensor, Tensor | None]


class AttentionBlock(nn.Module):
    """Multi-head attention and a two-layer network, each added to its input and normalised."""

    def __init__(self, width: int, config: HeadConfig):
        super().__init__()
        self.attention = nn.MultiheadAttention(
            width, config.attention_heads, dropout=config.dropout, batch_first=True
        )
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, N, D): tokens (B, N, D) that have looked at a context (B, M, D)."""
        seen, _ = self.attention(tokens, context, context, need_weights=False)
        x = self.norm1(seen + tokens)
        result: Tensor = self.norm2(self.mlp(x) + x)
        return result


class ScoredBlock(nn.Module):
    """An attention block and a linear score."""

    def __init__(self, width: int, config: HeadConfig):
        super().__init__()
        self.block = AttentionBlock(width, config)
        self.score = nn.Linear(width, 1)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        """(B, N) logits of the tokens."""
        result: Tensor = self.score(self.block(tokens, context))[..., 0]
        return result


class InducedBlock(nn.Module):
    """Regions look at one inducing token, which then looks at them; both are scored."""

    def __init__(self, width: int, config: HeadConfig):
        super().__init__()
        self.regions = AttentionBlock(width, config)
        self.frame = AttentionBlock(width, config)
        self.region_score = nn.Linear(width, 1)
        self.frame_score = nn.Linear(width, 1)

    def forward(self, token: Tensor, regions: Tensor) -> Logits:
        """Logits of regions (B, N, D) and of the frame, from a token (B, 1, D)."""
        seen = self.regions(regions, token)
        frame = self.frame(token, seen)
        return self.region_score(seen)[..., 0], self.frame_score(frame)[:, 0, 0]


class FrameToken(nn.Module):
    """A learned token that stands for the frame."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, width))

    def forward(self, batch: int) -> Tensor:
        """(B, 1, D)."""
        return self.weight.expand(batch, 1, -1)


# -------------------------------------------------------------------- comparisons


class BilinearSet(nn.Module):
    """Regions and reference are multiplied to half the width, then look at one another."""

    def __init__(self, config: HeadConfig):
        super().__init__()
        width = config.hidden // 2
        self.bilinear = nn.Bilinear(config.hidden, config.hidden, width)
        self.transformer = config.transformer
        if config.transformer != "mab":
            self.frame_token = FrameToken(width)
        self.block = (InducedBlock if config.transformer == "isab" else ScoredBlock)(width, config)

    def forward(self, regions: Tensor, reference: Tensor) -> Logits:
        joined = self.bilinear(regions, reference.expand(regions.shape).contiguous())
        if self.transformer == "mab":
            return self.block(joined, joined), None
        token = self.frame_token(len(regions))
        if self.transformer == "isab":
            result: Logits = self.block(token, joined)
            return result
        tokens = torch.cat([token, joined], dim=1)
        logits = self.block(tokens, tokens)
        return logits[:, 1:], logits[:, 0]


class TokenSet(nn.Module):
    """Regions and reference are marked by a learned vector each and look at one another."""

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.marks = nn.Parameter(torch.randn(2, config.hidden))  # of regions, of the reference
        self.block = ScoredBlock(2 * config.hidden, config)

    def forward(self, regions: Tensor, reference: Tensor) -> Logits:
        pairs = ((reference, self.marks[1]), (regions, self.marks[0]))
        marked = [torch.cat([x, mark.expand_as(x)], dim=2) for x, mark in pairs]
        tokens = torch.cat(marked, dim=1)
        return self.block(tokens, tokens)[:, 1:], None


class ConcatSet(nn.Module):
    """The reference is joined to every region; regions look at one another."""

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.block = ScoredBlock(2 * config.hidden, config)

    def forward(self, regions: Tensor, reference: Tensor) -> Logits:
        tokens = torch.cat([regions, reference.expand(regions.shape)], dim=2)
        return self.block(tokens, tokens), None


class TwoHeadSet(nn.Module):
    """A bilinear score beside attention: averaged, or the attention scores the frame."""

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.bilinear = nn.Bilinear(config.hidden, config.hidden, 1)
        self.scores_frame = config.transformer == "mab_global"
        width = 2 * config.hidden if self.scores_frame else config.hidden
        self.block = ScoredBlock(width, config)
        if self.scores_frame:
            self.frame_token = FrameToken(width)

    def forward(self, regions: Tensor, reference: Tensor) -> Logits:
        repeated = reference.expand(regions.shape).contiguous()
        simple = self.bilinear(regions, repeated)[..., 0]
        if self.scores_frame:
            context = torch.cat([regions, repeated], dim=2)
            return simple, self.block(self.frame_token(len(regions)), context)[:, 0]
        return 0.5 * (simple + self.block(regions, reference)), None


class AttentionSet(nn.Module):
    """Regions look at the reference; globally, the reference looks at the regions."""

    def __init__(self, config: HeadConfig):
        super().__init__()
        self.transformer = config.transformer
        self.block = (InducedBlock if config.transformer == "isab" else ScoredBlock)(
            config.hidden, config
        )
        if config.transformer == "mab_global":
            self.bilinear = nn.Bilinear(config.hidden, config.hidden, 1)

    def forward(self, regions: Tensor, reference: Tensor) -> Logits:
        if self.transformer == "isab":
            result: Logits = self.block(reference, regions)
            return result
        if self.transformer == "mab":
            return self.block(regions, reference), None
        repeated = reference.expand(regions.shape).contiguous()
        simple = self.bilinear(regions, repeated)[..., 0]
        return simple, self.block(reference, regions)[:, 0]


COMPARISONS: dict[str, type[nn.Module]] = {
    "bilinear": BilinearSet,
    "token": TokenSet,
    "concat": ConcatSet,
    "2head": TwoHeadSet,
    "att": AttentionSet,
}


def make_comparison(config: HeadConfig) -> nn.Module:
    """The comparison that a configuration names."""
    return COMPARISONS[config.compare](config)
