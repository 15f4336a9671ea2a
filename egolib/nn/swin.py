"""Swin transformer: attention inside windows that are shifted in every second block.

B images; H, W rows and columns of tokens; C channels; N heads; K channels a head;
n windows of an image; T tokens of a window.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.config import SwinConfig


class DropPath(nn.Module):
    """Drops the residual branch of whole images in training (Huang et al., ECCV 2016)."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def forward(self, x: Tensor) -> Tensor:
        return self.together(x)[0]

    def together(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Several tensors of the same images, (B, ...), dropped by the same draw."""
        if not self.training or self.fraction == 0:
            return parts
        kept = torch.rand(len(parts[0]), device=parts[0].device) >= self.fraction
        factor = kept.to(parts[0]) / (1 - self.fraction)
        return tuple(x * factor.view(-1, *[1] * (x.dim() - 1)) for x in parts)


class WindowLayout:
    """How a map of H x W tokens falls into windows: padded on the right and at the bottom,
    rolled up and left by ``shift``, cut into squares.

    Args:
        size: H, W.
        window: side of a window.
        shift: tokens that the windows are moved down and right.
    """

    def __init__(self, size: tuple[int, int], window: int, shift: int) -> None:
        self.size, self.window, self.shift = size, window, shift
        self.rows, self.columns = (-(-side // window) for side in size)

    def split(self, x: Tensor) -> Tensor:
        """A map (B, H, W, C) as windows (B, n, T, C)."""
        height, width = self.size
        side, batch, channels = self.window, x.shape[0], x.shape[-1]
        x = F.pad(x, (0, 0, 0, self.columns * side - width, 0, self.rows * side - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        x = x.view(batch, self.rows, side, self.columns, side, channels)
        return x.transpose(2, 3).reshape(batch, self.rows * self.columns, side * side, channels)

    def join(self, windows: Tensor) -> Tensor:
        """Windows (B, n, T, C) as the map (B, H, W, C)."""
        height, width = self.size
        side, batch, channels = self.window, windows.shape[0], windows.shape[-1]
        x = windows.view(batch, self.rows, self.columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, self.rows * side, self.columns * side, channels)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        return x[:, :height, :width]

    def mask(self, device: torch.device | str = "cpu") -> Tensor | None:
        """-100 between tokens that rolling made neighbours, else 0; (n, T, T), None unshifted."""
        if not self.shift:
            return None
        return _shift_mask(self.rows, self.columns, self.window, self.shift, str(device))


@lru_cache(maxsize=32)
def _shift_mask(rows: int, columns: int, window: int, shift: int, device: str) -> Tensor:
    def region(count: int) -> Tensor:
        place = torch.arange(count * window)
        return (place >= (count - 1) * window).long() + (place >= count * window - shift).long()

    regions = 3 * region(rows)[:, None] + region(columns)[None]
    layout = WindowLayout((rows * window, columns * window), window, 0)
    tokens = layout.split(regions[None, :, :, None].float())[0, :, :, 0]  # (n, T)
    return ((tokens[:, None] != tokens[:, :, None]).float() * -100).to(device)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows with a learned bias for relative positions."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def bias(self) -> Tensor:
        """(N, T, T) added to the logits."""
        index = relative_position_index(self.window, str(self.bias_table.device))
        return self.bias_table[index].permute(2, 0, 1)

    def split_heads(self, x: Tensor) -> Tensor:
        """(..., T, N * K) as (..., N, T, K)."""
        result: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)  # type: ignore[no-untyped-call]
        return result

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Attended values (B, n, T, C), before the output layer.

        Args:
            query: (B, n, T, C) windows.
            key: (B, n, T', C); may have more tokens.
            value: (B, n, T', C).
            bias: (N, T, T') for all windows, or (n, N, T, T').
        """
        q, k, v = (self.split_heads(x).flatten(0, 1) for x in (query, key, value))
        if bias.dim() == 4 and len(query) > 1:
            bias = bias.repeat(len(query), 1, 1, 1)
        attended = F.scaled_dot_product_attention(q, k, v, bias)  # (B * n, N, T, K)
        return attended.transpose(1, 2).flatten(2).view_as(query)

    def window_bias(self, layout: WindowLayout) -> Tensor:
        """Position bias plus the mask of shifted windows: (N, T, T) or (n, N, T, T)."""
        mask = layout.mask(self.bias_table.device)
        return self.bias() if mask is None else self.bias() + mask.to(self.bias_table)[:, None]


@lru_cache(maxsize=8)
def relative_position_index(window: int, device: str = "cpu") -> Tensor:
    """Row of the bias table for every pair of tokens of a window, (T, T) int64."""
    place = torch.arange(window)
    y, x = (c.flatten() for c in torch.meshgrid(place, place, indexing="ij"))
    dy, dx = (c[:, None] - c[None] + window - 1 for c in (y, x))
    return (dy * (2 * window - 1) + dx).to(device)


class TwoLayers(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        self.inner = nn.Linear(channels, expansion * channels)
        self.outer = nn.Linear(expansion * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.outer(F.gelu(self.inner(x)))
        return result


class SwinBlock(nn.Module):
    """Window attention and a two-layer network, each behind a norm and beside a residual.

    Args:
        shifted: whether the windows are moved by half a window.
    """

    def __init__(
        self, channels: int, heads: int, config: SwinConfig, shifted: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.window, self.shift = config.window, config.window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, config.window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = TwoLayers(channels, config.expansion)
        self.drop_path = DropPath(drop_path)

    def layout(self, x: Tensor) -> WindowLayout:
        """The windows of a map (B, H, W, C)."""
        return WindowLayout((x.shape[1], x.shape[2]), self.window, self.shift)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return self.finish(x + self.drop_path(self.attend_windows(self.norm1(x))))

    def attend_windows(self, x: Tensor) -> Tensor:
        """Attention of a normed map (B, H, W, C) to itself, window by window."""
        layout, attention = self.layout(x), self.attention
        query, key, value = attention.qkv(layout.split(x)).chunk(3, dim=-1)  # (B, n, T, C) each
        attended = attention.attend(query, key, value, attention.window_bias(layout))
        return layout.join(attention.out(attended))

    def finish(self, x: Tensor) -> Tensor:
        """The second half of the block."""
        result: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return result


class PatchMerging(nn.Module):
    """2x2 tokens become one of twice the channels; (B, H, W, C) -> (B, H/2, W/2, 2C).

    The four tokens are joined channel by channel (c0 at four places, then c1, ...), in
    the order of ``torch.nn.Unfold``; odd sides are padded with zeros.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        # (B, H/2, 2, W/2, 2, C)
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # type: ignore[no-untyped-call]
        x = x.permute(0, 1, 3, 5, 2, 4).flatten(3)  # (B, H/2, W/2, 4C)
        result: Tensor = self.reduction(self.norm(x))
        return result


class PatchEmbedding(nn.Module):
    """Patches of an image as tokens: (B, 3, H, W) -> (B, H/4, W/4, C)."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.side = config.patch
        self.conv = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.side, 0, -height % self.side))
        result: Tensor = self.norm(self.conv(images).permute(0, 2, 3, 1))
        return result


class SwinStage(nn.Module):
    """Blocks of one resolution and, but for the last stage, the merging after them."""

    def __init__(self, blocks: list[SwinBlock], merge: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.merge = merge


class Swin(nn.Module):
    """The transformer; its maps are normed outputs of every stage.

    Args:
        block: class of the blocks; variants with the same parameters give their own.
    """

    def __init__(self, config: SwinConfig, block: type[SwinBlock] = SwinBlock) -> None:
        super().__init__()
        self.config = config
        self.channels = [config.width * 2**i for i in range(len(config.depths))]
        self.patches = PatchEmbedding(config)
        total = sum(config.depths)
        rates = iter([config.drop_path * i / max(total - 1, 1) for i in range(total)])
        self.stages = nn.ModuleList()
        for i, (depth, heads) in enumerate(zip(config.depths, config.heads, strict=True)):
            channels = self.channels[i]
            blocks = [
                block(channels, heads, config, bool(j % 2), next(rates)) for j in range(depth)
            ]
            last = i == len(config.depths) - 1
            self.stages.append(SwinStage(blocks, None if last else PatchMerging(channels)))
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in self.channels)
        self.apply(_initialise)

    def output(self, stage: int, x: Tensor) -> Tensor:
        """A stage's tokens (B, H, W, C) as its map (B, C, H, W)."""
        result: Tensor = self.norms[stage](x).permute(0, 3, 1, 2).contiguous()
        return result

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C_s, H / stride_s, W / stride_s) of images (B, 3, H, W), finest first."""
        x, maps = self.patches(images), []
        for i, stage in enumerate(self.stages):
            for block in stage.blocks:  # type: ignore[union-attr]
                x = block(x)
            maps.append(self.output(i, x))
            if stage.merge is not None:
                x = stage.merge(x)  # type: ignore[operator]
        return maps


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
