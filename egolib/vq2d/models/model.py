"""The Siamese R-CNN: backbone, pyramid, proposals, comparison with a reference.

Legend: B frames, Q references, R proposals of a frame, E width of projected regions,
H, W frame size in the network, S cells of a pooled region (14).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from egolib.nn.config import ProposalConfig, RoiAlignConfig, RpnConfig
from egolib.nn.fpn import FeaturePyramid
from egolib.nn.resnet import ResNet
from egolib.nn.roi import RoiAlign
from egolib.nn.rpn import Proposals, RegionProposals, Size
from egolib.ops import boxes as bx
from egolib.vq2d.config import DetectConfig, DetectorConfig
from egolib.vq2d.models.heads import make_head


class FrameBatch(NamedTuple):
    """Frames of unequal size in one tensor.

    Args:
        images: (B, 3, H, W) normalised BGR, zeros at the right and bottom.
        sizes: (height, width) of every frame without padding.
    """

    images: Tensor
    sizes: list[Size]


class Regions(NamedTuple):
    """Projected proposals of one frame: boxes (R, 4) in network pixels, vectors (R, E)."""

    boxes: Tensor
    vectors: Tensor


class SiameseRcnn(nn.Module):
    """Boxes of every frame, scored by their similarity to a picture of the object.

    What can change at inference (proposals, thresholds, limits) is given when it is asked.

    Args:
        config: the architecture.
        weights: of the backbone: ``kaiming``, or ``empty`` where weights will be loaded.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: DetectorConfig, weights: str = "kaiming"):
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone, weights)
        self.pyramid = FeaturePyramid(self.backbone.channels, config.pyramid)
        network = RpnConfig(anchors=config.rpn.anchors, boxes=config.rpn.boxes)
        self.proposals = RegionProposals(config.pyramid.channels, network)
        stride = config.rpn.anchors.strides[config.level]
        self.pool = RoiAlign(RoiAlignConfig(config.region_cells, (stride,), 0, True))
        self.head = make_head(config.pyramid.channels, config.head)
        for name in ("pixel_mean", "pixel_std"):
            values = torch.tensor(getattr(config, name)).reshape(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    # ------------------------------------------------------------------ frame by frame

    def batch(self, images: Sequence[Tensor]) -> FrameBatch:
        """Normalises frames (3, H, W) BGR, 0 to 255, and pads them to one size."""
        normal = [(image.float() - self.pixel_mean) / self.pixel_std for image in images]
        sizes = [(image.shape[1], image.shape[2]) for image in normal]
        divisor = self.config.size_divisor
        height, width = (
            -(-max(size[axis] for size in sizes) // divisor) * divisor for axis in (0, 1)
        )
        padded = [
            functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
            for image in normal
        ]
        return FrameBatch(torch.stack(padded), sizes)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Pyramid maps p2..p6, (B, 256, H / stride, W / stride)."""
        result: list[Tensor] = self.pyramid(self.backbone(images))
        return result

    def propose(
        self, maps: Sequence[Tensor], sizes: Sequence[Size], limits: ProposalConfig
    ) -> list[Proposals]:
        """Proposals of every frame, best first.

        Args:
            maps: of the pyramid.
            sizes: (height, width) of every frame without padding.
            limits: how many are kept.
        """
        return self.proposals.propose(self.proposals(maps), sizes, limits)

    def pooled(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """(sum R, 256, S, S) features of boxes from one level of the pyramid."""
        result: Tensor = self.pool([maps[self.config.level]], boxes)
        return result

    def regions(self, batch: FrameBatch, limits: ProposalConfig) -> list[Regions]:
        """Proposals of every frame with their vectors: all that no reference changes."""
        maps = self.maps(batch.images)
        found = self.propose(maps, batch.sizes, limits)
        boxes = [proposals.boxes for proposals in found]
        return [Regions(b, v) for b, v in zip(boxes, self.vectors(maps, boxes), strict=True)]

    def vectors(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Projected regions (R, E) of every frame, one frame at a time to save memory."""
        level = maps[self.config.level]
        project = self.head.projectors.region
        return [
            project(self.pool([level[i : i + 1]], [box])) if len(box) else level.new_zeros(0, 0)
            for i, box in enumerate(boxes)
        ]

    def encode(self, references: Tensor) -> Tensor:
        """(Q, E) vectors of references (Q, 3, 256, 256) BGR, 0 to 255."""
        level = self.maps(self.batch(list(references)).images)[self.config.level]
        result: Tensor = self.head.projectors.reference(self.pool_reference(level))
        return result

    def pool_reference(self, level: Tensor) -> Tensor:
        """(Q, 256, S, S) from the reference's whole map."""
        return functional.adaptive_avg_pool2d(level, self.config.region_cells)

    # ---------------------------------------------------------------------- detections

    @torch.no_grad()
    def detect(
        self,
        regions: Regions,
        references: Tensor,
        size: Size,
        output: Size,
        settings: DetectConfig,
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes (n, 4) and scores (n,) of one frame for each of Q references, best first.

        Args:
            regions: of the frame.
            references: (Q, E) from ``encode``.
            size: (height, width) of the frame in the network, without padding.
            output: (height, width) of the frame that the boxes shall refer to.
            settings: thresholds and limit.
        """
        if not len(regions.boxes):
            empty = regions.boxes.new_zeros(0, 4), regions.boxes.new_zeros(0)
            return [empty] * len(references)
        scores = self.head.compare(regions.vectors[None], references).scores()  # (Q, R)
        return [select(regions.boxes, row, size, output, settings) for row in scores]


def select(
    boxes: Tensor, scores: Tensor, size: Size, output: Size, settings: DetectConfig
) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) and scores (n,) above the threshold, suppressed, in the frame's own pixels.

    Args:
        boxes: (R, 4) in pixels of the network's input.
        scores: (R,).
        size: (height, width) of the frame in the network, without padding.
        output: (height, width) of the frame that the boxes shall refer to.
        settings: thresholds and limit.
    """
    kept = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
    kept &= scores > settings.score_threshold
    boxes, scores = bx.clip(boxes[kept], size), scores[kept]
    best = bx.nms(boxes, scores, settings.nms_threshold)[: settings.limit]
    ratio = boxes.new_tensor([output[1] / size[1], output[0] / size[0]]).repeat(2)
    boxes, scores = bx.clip(boxes[best] * ratio, output), scores[best]
    filled = bx.has_area(boxes)
    return boxes[filled], scores[filled]
