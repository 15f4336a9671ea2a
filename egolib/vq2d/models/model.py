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

from egolib.nn.config import RoiAlignConfig
from egolib.nn.fpn import FeaturePyramid
from egolib.nn.resnet import ResNet
from egolib.nn.roi import RoiAlign
from egolib.nn.rpn import Proposals, RegionProposals, Size
from egolib.ops import boxes as bx
from egolib.vq2d.config import DetectorConfig
from egolib.vq2d.models.heads import make_head


class Batch(NamedTuple):
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
    """Boxes of every frame, scored by their likeness to a picture of the object.

    Args:
        cfg: numbers; ``weights="empty"`` leaves the backbone to be loaded.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, cfg: DetectorConfig, weights: str = "kaiming"):
        super().__init__()
        self.cfg = cfg
        self.backbone = ResNet(cfg.backbone, weights)
        self.pyramid = FeaturePyramid(self.backbone.channels, cfg.pyramid)
        self.proposals = RegionProposals(cfg.pyramid.channels, cfg.rpn)
        stride = cfg.rpn.anchors.strides[cfg.level]
        self.pool = RoiAlign(RoiAlignConfig(cfg.region_cells, (stride,), 0, True))
        self.head = make_head(cfg.pyramid.channels, cfg.head)
        for name in ("pixel_mean", "pixel_std"):
            values = torch.tensor(getattr(cfg, name)).reshape(3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    # ------------------------------------------------------------------ frame by frame

    def batch(self, images: Sequence[Tensor]) -> Batch:
        """Normalises frames (3, H, W) BGR, 0 to 255, and pads them to one size."""
        normal = [(image.float() - self.pixel_mean) / self.pixel_std for image in images]
        sizes = [(image.shape[1], image.shape[2]) for image in normal]
        divisor = self.cfg.size_divisor
        height, width = (
            -(-max(size[axis] for size in sizes) // divisor) * divisor for axis in (0, 1)
        )
        padded = [
            functional.pad(image, (0, width - image.shape[2], 0, height - image.shape[1]))
            for image in normal
        ]
        return Batch(torch.stack(padded), sizes)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Pyramid maps p2..p6, (B, 256, H / stride, W / stride)."""
        return self.pyramid(self.backbone(images))

    def propose(self, maps: Sequence[Tensor], sizes: Sequence[Size]) -> list[Proposals]:
        """Proposals of every frame, best first, with the published limits of the test."""
        return self.proposals.propose(self.proposals(maps), sizes)

    def pooled(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """(sum R, 256, S, S) features of boxes from one level of the pyramid."""
        return self.pool([maps[self.cfg.level]], boxes)

    def regions(self, batch: Batch) -> list[Regions]:
        """Proposals of every frame with their vectors: all that no reference changes."""
        maps = self.maps(batch.images)
        found = self.propose(maps, batch.sizes)
        boxes = [proposals.boxes for proposals in found]
        return [Regions(b, v) for b, v in zip(boxes, self.vectors(maps, boxes), strict=True)]

    def vectors(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> list[Tensor]:
        """Projected regions (R, E) of every frame, one frame at a time to save memory."""
        level = maps[self.cfg.level]
        project = self.head.projectors.region
        return [
            project(self.pool([level[i : i + 1]], [box])) if len(box) else level.new_zeros(0, 0)
            for i, box in enumerate(boxes)
        ]

    def encode(self, references: Tensor) -> Tensor:
        """(Q, E) vectors of references (Q, 3, 256, 256) BGR, 0 to 255."""
        level = self.maps(self.batch(list(references)).images)[self.cfg.level]
        return self.head.projectors.reference(self.pool_reference(level))

    def pool_reference(self, level: Tensor) -> Tensor:
        """(Q, 256, S, S) from the reference's whole map."""
        return functional.adaptive_avg_pool2d(level, self.cfg.region_cells)

    # ---------------------------------------------------------------------- detections

    @torch.no_grad()
    def detect(
        self, regions: Regions, references: Tensor, size: Size, output: Size
    ) -> list[tuple[Tensor, Tensor]]:
        """Boxes (n, 4) and scores (n,) of one frame for each of Q references, best first.

        Args:
            references: (Q, E) from ``encode``.
            size: (height, width) of the frame in the network, without padding.
            output: (height, width) of the frame that the boxes shall refer to.
        """
        if not len(regions.boxes):
            empty = regions.boxes.new_zeros(0, 4), regions.boxes.new_zeros(0)
            return [empty] * len(references)
        scores = self.head.compare(regions.vectors[None], references).scores()  # (Q, R)
        return [self.select(regions.boxes, row, size, output) for row in scores]

    def select(
        self, boxes: Tensor, scores: Tensor, size: Size, output: Size
    ) -> tuple[Tensor, Tensor]:
        """Threshold, clipping, suppression, limit; then the frame's own pixels."""
        cfg = self.cfg
        kept = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
        kept &= scores > cfg.score_threshold
        boxes, scores = bx.clip(boxes[kept], size), scores[kept]
        best = bx.nms(boxes, scores, cfg.nms_threshold)[: cfg.detections]
        ratio = boxes.new_tensor([output[1] / size[1], output[0] / size[0]]).repeat(2)
        boxes, scores = bx.clip(boxes[best] * ratio, output), scores[best]
        filled = bx.has_area(boxes)
        return boxes[filled], scores[filled]
