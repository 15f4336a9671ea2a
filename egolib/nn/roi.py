"""Regions of interest: features, training examples, final detections.

R regions; K classes without background; C channels; S output cells a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from egolib.nn.assign import assign, sample
from egolib.nn.config import AssignConfig, DetectionConfig, RoiAlignConfig, SampleConfig
from egolib.ops import boxes as bx


class RoiAlign(nn.Module):
    """Features of regions from the levels of a pyramid (or from one map).

    A region of area a comes from level floor(log2(sqrt(a) / finest)), clamped to the
    levels that exist (Lin et al., CVPR 2017, equation 1).
    """

    def __init__(self, config: RoiAlignConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, maps: Sequence[Tensor], regions: Sequence[Tensor]) -> Tensor:
        """(R, C, S, S), all regions of image 0 first.

        Args:
            maps: one map (B, C, H, W) per stride, finest first; more are ignored.
            regions: boxes (R_b, 4) in pixels of every image of the batch.
        """
        maps = [x.float() for x in maps]  # boxes need it, whatever the maps were computed in
        rows = index_rows(regions).to(maps[0])
        strides = self.config.strides
        if len(strides) == 1:
            return self._pool(maps[0], rows, strides[0])
        levels = self.levels(rows[:, 1:])
        if rows.is_cuda and not torch.is_grad_enabled():
            return self._from_every_level(maps, rows, levels)
        size = self.config.size
        pooled = rows.new_zeros(len(rows), maps[0].shape[1], size, size)
        for level, stride in enumerate(strides):
            chosen = (levels == level).nonzero()[:, 0]
            if len(chosen):
                pooled = pooled.index_put((chosen,), self._pool(maps[level], rows[chosen], stride))
        return pooled

    def _from_every_level(self, maps: list[Tensor], rows: Tensor, levels: Tensor) -> Tensor:
        """The same without asking how many regions a level has: on the levels that are not its
        own a region shrinks to a point, which costs little, and is ignored."""
        points = torch.cat([rows[:, :3], rows[:, 1:3]], dim=1)
        pooled: Tensor | None = None
        for level, stride in enumerate(self.config.strides):
            own = (levels == level)[:, None]
            found = self._pool(maps[level], torch.where(own, rows, points), stride)
            pooled = found if pooled is None else torch.where(own[..., None, None], found, pooled)
        assert pooled is not None
        return pooled

    def levels(self, boxes: Tensor) -> Tensor:
        """The level, (R,) int64, that every box (R, 4) is read from."""
        side = bx.area(boxes).sqrt()
        levels = torch.floor(torch.log2(side / self.config.finest + 1e-6))
        return levels.clamp(0, len(self.config.strides) - 1).long()

    def _pool(self, features: Tensor, rows: Tensor, stride: int) -> Tensor:
        settings = self.config
        result: Tensor = roi_align(
            features, rows, settings.size, 1 / stride, settings.sampling_ratio, settings.aligned
        )
        return result


def index_rows(regions: Sequence[Tensor]) -> Tensor:
    """Boxes of several images as rows (image, x1, y1, x2, y2), (R, 5)."""
    return torch.cat(
        [
            torch.cat([boxes.new_full((len(boxes), 1), i), boxes], 1)
            for i, boxes in enumerate(regions)
        ]
    )


# ----------------------------------------------------------------------- examples


class RoiExamples(NamedTuple):
    """Sampled regions of one image: the positive ones first.

    boxes (R, 4); truth (R,) int64: index of the true box, negative for background;
    positive: how many are positive.
    """

    boxes: Tensor
    truth: Tensor
    positive: int


@torch.no_grad()
def roi_examples(
    proposals: Tensor,
    truth: Tensor,
    assigning: AssignConfig,
    sampling: SampleConfig,
    *,
    extent: float = 0.0,
    add_truth: Literal["first", "last", "no"] = "first",
    generator: torch.Generator | None = None,
) -> RoiExamples:
    """Training regions of one image from its proposals (P, 4) and true boxes (G, 4).

    Args:
        proposals: (P, 4).
        truth: true boxes and labels.
        assigning: overlaps from which a region is an example.
        sampling: how many examples are drawn.
        extent: what the convention adds to ``x2 - x1`` for a width.
        add_truth: the true boxes join the proposals ``first`` (as examples of themselves,
            after the proposals were assigned: mmdetection), ``last`` (assigned like any
            proposal: maskrcnn-benchmark, detectron2) or not (``no``).
        generator: draws the examples.
    """
    boxes = torch.cat([proposals, truth]) if add_truth == "last" else proposals
    matches = assign(bx.iou(truth, boxes, extent), assigning)
    if add_truth == "first":
        boxes = torch.cat([truth, boxes])
        matches = torch.cat([torch.arange(len(truth), device=matches.device), matches])
    positive, negative = sample(matches, sampling, generator)
    chosen = torch.cat([positive, negative])
    return RoiExamples(boxes[chosen], matches[chosen], len(positive))


# --------------------------------------------------------------------- detections


class Found(NamedTuple):
    """Detections of one image: boxes (D, 4), labels (D,) from 0, scores (D,), best first."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


@torch.no_grad()
def select_detections(
    scores: Tensor,
    offsets: Tensor | None,
    regions: Tensor,
    size: tuple[int, int],
    scale: Tensor,
    coder: bx.BoxCoder,
    config: DetectionConfig,
) -> Found:
    """Detections of one image from class scores and offsets of its regions.

    Only pairs of region and class above the score threshold are decoded, which gives
    what decoding all of them gives.

    Args:
        scores: (R, K) class probabilities, without background.
        offsets: (R, K, 4), or (R, 1, 4) when all classes share them; None where the
            regions are the boxes.
        regions: (R, 4) in pixels of the network's input.
        size: (height, width) of the input without padding; boxes are clipped to it.
        scale: (4,) input pixels per pixel of the original image, for x, y, x, y.
        coder: turns offsets into boxes.
        config: thresholds and numbers.
    """
    region, label = (scores > config.score_threshold).nonzero(as_tuple=True)
    picked = scores[region, label]
    boxes = regions[region]
    if offsets is not None:
        boxes = coder.decode(boxes, offsets[region, label if offsets.shape[1] > 1 else 0])
    boxes = bx.clip(boxes, size, coder.config.extent)
    if config.drop_empty:
        full = bx.has_area(boxes).nonzero()[:, 0]
        boxes, label, picked = boxes[full], label[full], picked[full]
    if config.rescale == "before":
        boxes = boxes / scale
    kept = bx.nms_by_group(boxes, picked, label, config.nms_threshold, coder.config.extent)
    kept = _limit(kept, picked[kept], config)
    boxes = boxes[kept] / scale if config.rescale == "after" else boxes[kept]
    return Found(boxes, label[kept], picked[kept])


def _limit(kept: Tensor, scores: Tensor, config: DetectionConfig) -> Tensor:
    """The first ``config.limit`` of indices whose scores descend, with ties by option."""
    if len(kept) <= config.limit or config.limit_ties == "cut":
        return kept[: config.limit]
    return kept[scores >= scores[config.limit - 1]]
