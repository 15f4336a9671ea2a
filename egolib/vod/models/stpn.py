"""STPN: a few prompts, made from a video's references, guide a Swin transformer
(arXiv 2402.02574).

B images; H, W rows and columns of tokens; C channels; P prompts; n windows; T tokens of
a window; R references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.config import SwinConfig
from egolib.nn.swin import DropPath, PatchMerging, Swin, SwinBlock, SwinStage
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig, PromptConfig
from egolib.vod.models.ahead import Hidden, KnownRegions, Regions, backbone_maps
from egolib.vod.models.frames import Clip, Frames, Losses
from egolib.vod.models.heads import Aggregator, RegionHead
from egolib.vod.models.method import RegionMethod
from egolib.vod.models.pixels import as_cells


class PromptBlock(SwinBlock):
    """A Swin block whose windows all see the prompts; it has no further parameters.

    The prompts are queries, keys and values in every window, without position bias or
    mask, and are averaged over the windows afterwards. Their projections are the same
    in all windows and the output layer is linear, so both are computed once, where the
    official code copies the prompts into every window first.
    """

    def with_prompts(self, x: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, H, W, C) and prompts (B, P, C) after the block."""
        attended = self._attend_with_prompts(self.norm1(x), self.norm1(prompts))
        dx, dp = self.drop_path.together(*attended)
        x, prompts = x + dx, prompts + dp
        dx, dp = self.drop_path.together(self.mlp(self.norm2(x)), self.mlp(self.norm2(prompts)))
        return x + dx, prompts + dp

    def _attend_with_prompts(self, x: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        layout, attention, number = self.layout(x), self.attention, prompts.shape[1]
        own = attention.qkv(layout.split(x))  # (B, n, T, 3C)
        shared = attention.qkv(prompts)[:, None].expand(-1, own.shape[1], -1, -1)
        query, key, value = torch.cat([shared, own], dim=2).chunk(3, dim=-1)
        bias = F.pad(attention.window_bias(layout), (number, 0, number, 0))
        attended = attention.attend(query, key, value, bias)  # (B, n, P + T, C)
        prompts = attention.out(attended[:, :, :number].mean(dim=1))
        return layout.join(attention.out(attended[:, :, number:])), prompts


class PromptSwin(Swin):
    """Swin with prompts in front of the patch tokens of every stage."""

    def __init__(self, config: SwinConfig, prompt: PromptConfig) -> None:
        super().__init__(config, PromptBlock)
        self.prompt = prompt

    def forward(self, images: Tensor, prompts: Tensor | None = None) -> list[Tensor]:
        """Maps as of ``Swin``, guided by prompts (P, C) where they are given."""
        if prompts is None:
            return super().forward(images)
        x, maps = self.patches(images), []
        prompts = prompts.expand(len(images), -1, -1)
        for i, stage in enumerate(self.stages):
            x, prompts = _run_stage(stage, x, prompts)  # type: ignore[arg-type]
            maps.append(self.output(i, x))
            if stage.merge is not None:
                x = stage.merge(x)  # type: ignore[operator]
                prompts = merge_prompts(stage.merge, prompts, self.prompt.merge)  # type: ignore
        return maps


def _run_stage(stage: SwinStage, x: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
    for block in stage.blocks:
        x, prompts = block.with_prompts(x, prompts)  # type: ignore[operator]
    return x, prompts


def merge_prompts(merge: PatchMerging, prompts: Tensor, rule: str) -> Tensor:
    """Prompts (B, P, C) with the channels of the next stage, (B, P, 2C).

    Official behaviour: four whole copies side by side, although the weights are for
    channels that are interleaved place by place.

    Args:
        merge: patch merging at the end of the stage.
        prompts: (B, P, C).
        rule: ``official``, or ``interleaved``, which repeats every channel four times.
    """
    if rule == "official":
        copies = prompts.repeat(1, 1, 4)
    else:
        copies = prompts.repeat_interleave(4, dim=-1)
    merged: Tensor = merge.reduction(merge.norm(copies))
    return merged


class PromptPredictor(nn.Module):
    """Prompts (P, C) from the last maps of the references.

    ``attention``: learned queries gather from all tokens of all references.
    ``average``: the tokens of largest L1 norm of every reference, averaged over references.
    """

    def __init__(self, inputs: int, width: int, config: PromptConfig) -> None:
        super().__init__()
        self.config = config
        self.reduction = nn.Linear(inputs, width)
        if config.predictor == "attention":
            self.query = nn.Parameter(torch.empty(config.number, width).normal_(std=0.02))
            self.aggregator = Aggregator(width, config.heads)

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens (R, H * W, C') of the last maps."""
        if self.config.predictor == "attention":
            reduced = self.reduction(tokens.flatten(0, 1))
            gathered: Tensor = self.aggregator(self.query, self.aggregator.project(reduced))
            return gathered
        best = tokens.abs().sum(-1).topk(self.config.number, dim=1).indices  # (R, P)
        chosen = tokens.gather(1, best[..., None].expand(-1, -1, tokens.shape[-1]))
        averaged: Tensor = self.reduction(chosen.mean(dim=0))
        return averaged


@dataclass
class StpnState:
    """Settings of testing, the prompts of a video, (P, C), None without references, and
    regions of frames that were computed before their turn."""

    settings: InferConfig
    prompts: Tensor | None
    known: KnownRegions = field(default_factory=KnownRegions)


class Stpn(RegionMethod[RegionHead]):
    """A detector on a Swin transformer that a video's prompts guide."""

    def __init__(self, config: ModelConfig) -> None:
        backbone = PromptSwin(config.swin, config.prompt)
        super().__init__(config, RegionHead, backbone)
        self.predictor = PromptPredictor(backbone.channels[-1], config.swin.width, config.prompt)

    @property
    def backbone(self) -> PromptSwin:
        """The guided transformer."""
        return self.detector.backbone  # type: ignore[return-value]

    def maps(self, images: Tensor, prompts: Tensor | None) -> list[Tensor]:
        """Neck maps of images (B, 3, H, W)."""
        maps: list[Tensor] = self.detector.neck(self.backbone(images, prompts))
        return maps

    @torch.no_grad()
    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> StpnState:
        """Makes the prompts, which serve the whole video.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: frames that the prompts are made from; None for no prompts.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        if references is None:
            return StpnState(settings, None)
        maps = backbone_maps(self.detector, references, settings)[-1]
        return StpnState(settings, self.predictor(torch.stack([as_cells(x) for x in maps])))

    @torch.no_grad()
    def hidden(self, frame: Frames, state: StpnState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, ready for prediction.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; the prompts stay as they are.
            references: not used: the prompts stand for them.
        """
        own = self._own_regions(frame, state)
        return Hidden(self.head.hidden_from(own.first), own.boxes)

    def _regions_of(self, frames: Frames, state: StpnState) -> list[Callable[[], Regions]]:
        guides = () if state.prompts is None else (state.prompts,)
        return self.detector.regions(frames, state.settings, *guides)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame, guided by prompts from its references.

        Official behaviour: the references give no gradient, but their pass drops paths.
        """
        assert clip.references is not None, "STPN trains on references"
        with torch.no_grad(), self._reference_mode():
            tokens = self.reference_tokens(clip.references.images)
        maps = self.maps(clip.key.images, self.predictor(tokens))
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)

    def reference_tokens(self, images: Tensor) -> Tensor:
        """Tokens (R, H * W, C) of the last maps, without prompts."""
        return torch.stack([as_cells(x) for x in self.backbone(images)[-1]])

    @contextmanager
    def _reference_mode(self) -> Iterator[None]:
        drops = [m for m in self.backbone.modules() if isinstance(m, DropPath)]
        before = [m.training for m in drops]
        if self.config.prompt.reference_drop_path == "off":
            for m in drops:
                m.training = False
        yield
        for m, training in zip(drops, before, strict=True):
            m.training = training
