"""The video encoder: a vision transformer that attends over time, then over space.

Legend: B clips, F frames, P patches of a frame, N = 1 + F P tokens (class token first,
then frame by frame), D width, H heads, E = D / H, L text tokens, C text width.

Divided attention follows Bain et al. (Frozen in Time, arXiv 2104.00650); the gated
cross-attention in the last blocks is that of EgoVLPv2 (arXiv 2307.05463, section 3.2).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from egolib.nn.compiled import is_compiled
from egolib.nn.text_encoder import fitting
from egolib.vlp.config import ModelConfig

Axis = Literal["time", "space"]

#: Groups of so few frames are compared product by product on a GPU: attention kernels are made
#: for hundreds of keys, and take longer for five of them.
FEW_FRAMES = 4


class DividedAttention(nn.Module):
    """Self-attention in groups of patches along one axis; the class token attends to all.

    A patch attends to the class token and, over ``time``, to the patches at its place
    in all frames, over ``space``, to those of its frame.

    Args:
        width: D.
        heads: H.
        axis: what the groups extend over.
        patches: P.
    """

    def __init__(self, width: int, heads: int, axis: Axis, patches: int):
        super().__init__()
        self.heads, self.axis, self.patches = heads, axis, patches
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) from x (B, N, D)."""
        batch = len(x)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # B H N E
        class_token = F.scaled_dot_product_attention(q[:, :, :1], k, v)  # B H 1 E
        if self.axis == "time" and x.is_cuda and self._frames(x) <= FEW_FRAMES:
            patches = self._few_frames(q, k, v)
        else:
            grouped = F.scaled_dot_product_attention(
                self._group(q), self._group(k, with_class=True), self._group(v, with_class=True)
            )
            patches = self._ungroup(grouped, batch)
        joined = torch.cat([class_token, patches], 2)  # B H N E
        return self.out(joined.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _frames(self, x: Tensor) -> int:
        return (x.shape[1] - 1) // self.patches

    def _few_frames(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, H, F P, E): attention over time of (B, H, N, E) each, by products and sums.

        A compiler makes a few kernels of it; the softmax is in float32.
        """
        query = q[:, :, 1:].unflatten(2, (-1, self.patches))  # type: ignore[no-untyped-call]  # B H F P E
        key, value = self._over_time(k), self._over_time(v)  # B H 1+F P E
        scores = (query[:, :, :, None] * key[:, :, None]).sum(-1)  # B H F 1+F P
        weights = (scores.float() * q.shape[-1] ** -0.5).softmax(3).to(v.dtype)
        attended: Tensor = (weights[..., None] * value[:, :, None]).sum(3).flatten(2, 3)
        return attended

    def _over_time(self, x: Tensor) -> Tensor:
        """(B, H, 1 + F, P, E): the class token of every place, then the frames."""
        grid = x[:, :, 1:].unflatten(2, (-1, self.patches))  # type: ignore[no-untyped-call]
        first = x[:, :, :1, None].expand(-1, -1, -1, self.patches, -1)
        return torch.cat([first, grid], 2)

    def _group(self, x_BHNE: Tensor, with_class: bool = False) -> Tensor:
        """(B G, H, M, E): G groups of M patches, the class token in front if asked for."""
        rows = x_BHNE[:, :, 1:]
        grid = rows.unflatten(2, (-1, self.patches))  # type: ignore[no-untyped-call]  # B H F P E
        order = (0, 3, 1, 2, 4) if self.axis == "time" else (0, 2, 1, 3, 4)
        groups = grid.permute(order)  # B G H M E
        if with_class:
            first = x_BHNE[:, None, :, :1].expand(-1, groups.shape[1], -1, -1, -1)  # B G H 1 E
            groups = torch.cat([first, groups], 3)
        return groups.flatten(0, 1)  # type: ignore[no-any-return]

    def _ungroup(self, x: Tensor, batch: int) -> Tensor:
        """(B, H, F P, E): the inverse of ``_group`` without class token."""
        groups = x.unflatten(0, (batch, -1))  # type: ignore[no-untyped-call]  # B G H M E
        order = (0, 2, 3, 1, 4) if self.axis == "time" else (0, 2, 1, 3, 4)
        return groups.permute(order).flatten(2, 3)  # type: ignore[no-any-return]


class TextCrossAttention(nn.Module):
    """Attention from video tokens to text tokens.

    Args:
        width: D.
        heads: H.
        text_width: C.
    """

    def __init__(self, width: int, heads: int, text_width: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, eps=1e-5)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(text_width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, text: Tensor, bias: Tensor | None) -> Tensor:
        """(B, N, D) from x (B, N, D), text (B, L, C) and a bias (B, 1, 1, L) on scores.

        Args:
            x: (B, N, D) video tokens.
            text: (B, L, C) text states.
            bias: (B, 1, 1, L) added to the scores over text tokens; nothing if None.
        """
        query = self.query(self.norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key, value = (
            self.key_value(text).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # B H L E each
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=fitting(bias, query))
        return self.out(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class MLP(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) from (..., D)."""
        return self.contract(F.gelu(self.expand(x)))  # type: ignore[no-any-return]


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): drops a whole branch for some samples."""

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """x (B, ...), with whole samples zeroed and the others scaled up in training."""
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        kept = torch.rand((len(x),) + (1,) * (x.ndim - 1), device=x.device, dtype=x.dtype) < keep
        return x * kept / keep


class VideoBlock(nn.Module):
    """Attention over time, over space (and text), and an MLP.

    Official behaviour: the spatial branch is added to the block's *input*, not to the
    result of the time branch (arXiv 2104.00650, appendix).

    Args:
        width: D.
        heads: H.
        mlp_width: hidden channels of the MLP.
        patches: P.
        text_width: C where the block attends to text, else None.
        drop_path: probability of dropping the spatial and the MLP branch.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        patches: int,
        text_width: int | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.time_norm = nn.LayerNorm(width, eps=1e-5)
        self.time_attention = DividedAttention(width, heads, "time", patches)
        self.space_norm = nn.LayerNorm(width, eps=1e-5)
        self.space_attention = DividedAttention(width, heads, "space", patches)
        self.cross: TextCrossAttention | None = None
        if text_width is not None:
            self.cross = TextCrossAttention(width, heads, text_width)
            self.cross_gate = nn.Parameter(torch.zeros(1))
        self.mlp_norm = nn.LayerNorm(width, eps=1e-5)
        self.mlp = MLP(width, mlp_width)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, text: Tensor | None = None, text_bias: Tensor | None = None
    ) -> Tensor:
        """(B, N, D); without text (B, L, C) the cross-attention is passed over.

        Args:
            x: (B, N, D).
            text: (B, L, C).
            text_bias: (B, 1, 1, L) added to the scores over text tokens.
        """
        time = x + self.time_attention(self.time_norm(x))
        space = self.space_attention(self.space_norm(time))
        if text is not None:
            assert self.cross is not None, "this block has no cross-attention"
            space = space + self.cross_gate * self.cross(space, text, text_bias)
        x = x + self.drop_path(space)
        return x + self.drop_path(self.mlp(self.mlp_norm(x)))  # type: ignore[no-any-return]


class VideoEncoder(nn.Module):
    """Patches with positions in space and time, blocks, and a final norm."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        width, hidden = config.width, int(config.width * config.mlp_ratio)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, 1 + config.patches, width))
        self.times = nn.Parameter(torch.zeros(1, config.frames, width))
        self.patches = nn.Conv2d(3, width, config.patch_size, config.patch_size)
        unfused = config.depth - config.fusion_depth
        self.blocks = nn.ModuleList(
            VideoBlock(
                width,
                config.heads,
                hidden,
                config.patches,
                config.text_width if i >= unfused else None,
                config.drop_path * i / max(config.depth - 1, 1),
            )
            for i in range(config.depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-5)

    def embed(self, video: Tensor, class_token: Tensor) -> Tensor:
        """Tokens (B, N, D) of a video (B, F, 3, height, width), class token first.

        Args:
            video: normalised pictures.
            class_token: (1, 1, D).
        """
        return self.with_class(self.places(video), class_token)

    def places(self, video: Tensor) -> Tensor:
        """Patches (B, F P, D) of a video with their positions in space and time.

        Args:
            video: (B, F, 3, height, width) normalised pictures.
        """
        batch, frames = video.shape[:2]
        if frames != self.config.frames:
            raise ValueError(f"the model takes {self.config.frames} frames, not {frames}")
        grid = self.patches(video.flatten(0, 1)).flatten(2).mT  # (B F) P D
        if grid.shape[1] != self.config.patches:
            raise ValueError(f"expected pictures of {self.config.image_size} pixels, {video.shape}")
        places = grid.unflatten(0, (batch, frames)) + self.positions[:, None, 1:]  # B F P D
        tokens: Tensor = (places + self.times[:, :, None]).flatten(1, 2)
        return tokens

    def with_class(self, places: Tensor, class_token: Tensor) -> Tensor:
        """Tokens (B, N, D): a class token (1, 1, D) before patches (B, F P, D)."""
        first = (class_token + self.positions[:, :1]).expand(len(places), -1, -1)
        return torch.cat([first.to(places.dtype), places], 1)

    def run(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Tokens (B, N, D) after the blocks ``[start, stop)``, without text.

        Args:
            x: (B, N, D) tokens, see ``embed``.
            start: first block, from 0.
            stop: block to end before; None runs to the last one.
        """
        for block in self.blocks[start:stop]:
            x = self.run_block(block, x)
        return x

    def run_block(
        self,
        block: nn.Module,
        x: Tensor,
        text: Tensor | None = None,
        text_bias: Tensor | None = None,
    ) -> Tensor:
        """One block, recomputed in the backward pass where that is asked for.

        Args:
            block: a ``VideoBlock`` of this encoder.
            x: (B, N, D) tokens.
            text: (B, L, C) text states; None passes the cross-attention over.
            text_bias: (B, 1, 1, L) added to the scores over text tokens.
        """
        wanted = self.config.gradient_checkpointing and self.training and torch.is_grad_enabled()
        if wanted and not is_compiled(block):
            random = self.config.drop_path > 0
            return checkpoint(  # type: ignore[no-any-return]
                block, x, text, text_bias, use_reentrant=False, preserve_rng_state=random
            )
        return block(x, text, text_bias)  # type: ignore[no-any-return]
