"""Region proposal network: dense objectness and box offsets, proposals, losses.

B images; L levels; A anchors a cell; H, W rows and columns of a level; P proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.nn.anchors import AnchorGrid
from egolib.nn.assign import IGNORED, assign, sample
from egolib.nn.config import ProposalConfig, RpnConfig
from egolib.ops import boxes as bx

Size = tuple[int, int]  # height, width in pixels


class RpnOutput(NamedTuple):
    """Dense predictions: L maps of logits (B, A, H, W) and of offsets (B, 4 * A, H, W)."""

    logits: list[Tensor]
    offsets: list[Tensor]

    def image(self, index: int) -> RpnOutput:
        """The predictions of one image of the batch, as a batch of one."""
        one = slice(index, index + 1)
        return RpnOutput([x[one] for x in self.logits], [x[one] for x in self.offsets])


class Proposals(NamedTuple):
    """Proposals of one image, best first: boxes (P, 4) and scores (P,)."""

    boxes: Tensor
    scores: Tensor

    def top(self, number: int) -> Proposals:
        """The best ``number``."""
        return Proposals(self.boxes[:number], self.scores[:number])


class RpnHead(nn.Module):
    """A 3x3 convolution with ReLU, then 1x1 convolutions to logits and offsets."""

    def __init__(self, channels: int, anchors_per_cell: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.logits = nn.Conv2d(channels, anchors_per_cell, 1)
        self.offsets = nn.Conv2d(channels, 4 * anchors_per_cell, 1)
        for layer in (self.conv, self.logits, self.offsets):
            init.normal(layer, std=0.01)

    def forward(self, maps: Sequence[Tensor]) -> RpnOutput:
        hidden = [F.relu_(self.conv(x)) for x in maps]
        return RpnOutput([self.logits(x) for x in hidden], [self.offsets(x) for x in hidden])


class RegionProposals(nn.Module):
    """Region proposal network over the levels of ``config.anchors`` (Ren et al., 2015).

    Args:
        channels: channels of all input maps.
    """

    def __init__(self, channels: int, config: RpnConfig) -> None:
        super().__init__()
        self.config = config
        self.anchors = AnchorGrid(config.anchors)
        self.coder = bx.BoxCoder(config.boxes)
        self.head = RpnHead(channels, self.anchors.per_cell)

    def forward(self, maps: Sequence[Tensor]) -> RpnOutput:
        """Dense predictions of the maps (B, channels, H, W), finest first."""
        result: RpnOutput = self.head(maps)
        return result

    # ------------------------------------------------------------------ proposals

    @torch.no_grad()
    def propose(
        self, output: RpnOutput, sizes: Sequence[Size], limits: ProposalConfig | None = None
    ) -> list[Proposals]:
        """Proposals of every image.

        Args:
            output: logits and offsets of every level.
            sizes: (height, width) of every image without padding; boxes are clipped to it.
            limits: ``config.test`` unless another selection is asked for.
        """
        limits = limits or self.config.test
        return [self._propose(output.image(i), size, limits) for i, size in enumerate(sizes)]

    def _propose(self, output: RpnOutput, size: Size, limits: ProposalConfig) -> Proposals:
        found = [
            self._best_of_level(level, logits[0], offsets[0], limits)
            for level, (logits, offsets) in enumerate(zip(*output, strict=True))
        ]
        boxes = bx.clip(torch.cat([b for b, _ in found]), size, self.config.boxes.extent)
        scores = torch.cat([s for _, s in found])
        levels = torch.cat(
            [s.new_full(s.shape, i, dtype=torch.int64) for i, (_, s) in enumerate(found)]
        )
        valid = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
        if limits.drop_empty:
            valid &= bx.has_area(boxes)
        boxes, scores, levels = boxes[valid], scores[valid], levels[valid]
        extent = self.config.boxes.extent
        kept = bx.nms_by_group(boxes, scores, levels, limits.nms_threshold, extent)
        kept = kept[: limits.after]
        return Proposals(boxes[kept], scores[kept])

    def _best_of_level(
        self, level: int, logits: Tensor, offsets: Tensor, limits: ProposalConfig
    ) -> tuple[Tensor, Tensor]:
        """Decoded boxes (P, 4) and scores (P,) of the best predictions of one level."""
        anchors = self.anchors.level(level, map_size(logits), logits.device)
        logits, offsets = logits.float(), offsets.float()  # under mixed precision too
        scores = _flat(logits, 1)[:, 0]
        if limits.rank_by == "probability":
            scores = scores.sigmoid()
        offsets = _flat(offsets, 4)
        if len(scores) > limits.before:
            scores, best = scores.sort(descending=True, stable=True)
            scores, best = scores[: limits.before], best[: limits.before]
            anchors, offsets = anchors[best], offsets[best]
        return self.coder.decode(anchors, offsets), scores

    # --------------------------------------------------------------------- losses

    def losses(
        self,
        output: RpnOutput,
        sizes: Sequence[Size],
        truths: Sequence[Tensor],
        generator: torch.Generator | None = None,
        config: RpnConfig | None = None,
    ) -> dict[str, Tensor]:
        """``objectness`` (binary cross-entropy) and ``rpn_box`` (smooth L1), scalars.

        Args:
            output: logits and offsets of every level.
            sizes: (height, width) of every image without padding.
            truths: true boxes (G, 4) of every image.
            generator: draws the examples.
            config: assignment, sampling and losses; the network's own unless given.
        """
        config = config or self.config
        anchors = torch.cat(self.anchors([map_size(x) for x in output.logits], truths[0].device))
        objectness, box, examples = truths[0].new_zeros(()), truths[0].new_zeros(()), 0
        for i, (size, truth) in enumerate(zip(sizes, truths, strict=True)):
            logits = torch.cat([_flat(x[i].float(), 1) for x in output.logits])[:, 0]
            offsets = torch.cat([_flat(x[i].float(), 4) for x in output.offsets])
            positive, negative, matches = self._examples(anchors, size, truth, generator, config)
            chosen = torch.cat([positive, negative])
            wanted = (matches[chosen] >= 0).to(logits)
            objectness = objectness + _cross_entropy(logits[chosen], wanted)
            target = self.coder.encode(anchors[positive], truth[matches[positive]])
            box = box + smooth_l1(offsets[positive], target, config.beta)
            examples += len(chosen)
        if config.normalise == "asked":
            examples = config.sample.number * len(sizes)
        examples = max(examples, 1)
        return {"objectness": objectness / examples, "rpn_box": box / examples}

    @torch.no_grad()
    def _examples(
        self,
        anchors: Tensor,
        size: Size,
        truth: Tensor,
        generator: torch.Generator | None,
        config: RpnConfig,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Indices of positive and negative anchors, and the truth of every anchor."""
        inside = self._inside(anchors, size, config.border).nonzero()[:, 0]
        overlaps = bx.iou(truth, anchors[inside], config.boxes.extent)
        matches = torch.full((len(anchors),), IGNORED, device=anchors.device)
        matches[inside] = assign(overlaps, config.assign)
        return *sample(matches, config.sample, generator), matches

    def _inside(self, anchors: Tensor, size: Size, border: float) -> Tensor:
        if border < 0:
            return torch.ones(len(anchors), dtype=torch.bool, device=anchors.device)
        height, width = size
        low = (anchors[:, :2] >= -border).all(dim=1)
        return low & (anchors[:, 2] < width + border) & (anchors[:, 3] < height + border)


def map_size(x: Tensor) -> tuple[int, int]:
    """H, W of a map (..., H, W)."""
    return x.shape[-2], x.shape[-1]


def smooth_l1(predicted: Tensor, target: Tensor, beta: float) -> Tensor:
    """Summed smooth L1 distance; plain L1 where ``beta`` is 0.

    Args:
        predicted: any shape.
        target: of the same shape.
        beta: distance at which the square becomes a line.
    """
    if beta == 0:
        return (predicted - target).abs().sum()
    return F.smooth_l1_loss(predicted, target, reduction="sum", beta=beta)


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")


def _flat(x: Tensor, values: int) -> Tensor:
    """(A * values, H, W) as (H * W * A, values)."""
    return x.permute(1, 2, 0).reshape(-1, values)
