"""The frame detector that the methods share: backbone, neck, region proposals, region head.

B images; P proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from egolib.nn.config import ProposalConfig
from egolib.nn.fpn import FeaturePyramid, MapReduction
from egolib.nn.resnet import ResNet
from egolib.nn.roi import Found, RoiExamples, roi_examples
from egolib.nn.rpn import Proposals, RegionProposals
from egolib.nn.swin import Swin
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.frames import Frames, Losses, Size, Truth
from egolib.vod.models.heads import RegionHead


def make_backbone(config: ModelConfig) -> ResNet | Swin:
    """The backbone that the settings name; it ends before the stage that a C4 head has."""
    if config.backbone == "swin":
        return Swin(config.swin)
    if config.detector != "c4":
        return ResNet(config.resnet)
    blocks, strides, dilations = (
        x[:-1] for x in (config.resnet.blocks, config.resnet.strides, config.resnet.dilations)
    )
    return ResNet(replace(config.resnet, blocks=blocks, strides=strides, dilations=dilations))


class Neck(nn.Module):
    """What lies between backbone maps and the detector: one reduced map, a pyramid, or
    nothing (the last map as it is)."""

    def __init__(self, channels: Sequence[int], config: ModelConfig) -> None:
        super().__init__()
        self.kind = config.neck
        if config.neck == "reduce":
            self.channels = config.neck_channels
            self.reduce = MapReduction(channels[-1], config.neck_channels)
        elif config.neck == "none":
            self.channels = channels[-1]
        else:
            self.channels = config.pyramid.channels
            self.pyramid = FeaturePyramid(channels, config.pyramid)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        if self.kind == "reduce":
            return [self.reduce(maps[-1])]
        if self.kind == "none":
            return [maps[-1]]
        levels: list[Tensor] = self.pyramid(maps)
        return levels


class RegionDetector(nn.Module):
    """Faster R-CNN (Ren et al., 2015) on one map or on a pyramid.

    Args:
        head: class of the region head.
        backbone: replaces the one that the settings name.
    """

    def __init__(
        self,
        config: ModelConfig,
        head: type[RegionHead] = RegionHead,
        backbone: ResNet | Swin | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone or make_backbone(config)
        self.neck = Neck(self.backbone.channels, config)
        self.rpn = RegionProposals(self.neck.channels, config.rpn)
        self.head = head(self.neck.channels, config)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Neck maps of images (B, 3, H, W), finest first."""
        maps: list[Tensor] = self.neck(self.backbone(images))
        return maps

    def propose(
        self, maps: Sequence[Tensor], sizes: Sequence[Size], limits: ProposalConfig | None = None
    ) -> list[Proposals]:
        """Proposals of every image.

        Args:
            maps: of the neck.
            sizes: (height, width) of every image without padding.
            limits: how many; None for the network's own of frames without truth.
        """
        return self.rpn.propose(self.rpn(maps), sizes, limits)

    def detect(self, maps: Sequence[Tensor], frames: Frames, settings: InferConfig) -> list[Found]:
        """Detections in every frame from their maps, each frame on its own.

        Args:
            maps: of the neck.
            frames: that they are of.
            settings: of testing.
        """
        boxes = [p.boxes for p in self.propose(maps, frames.sizes, settings.proposals)]
        features = self.head.hidden(self.head.pool(maps, boxes))
        hidden = torch.split(features, [len(b) for b in boxes])
        images = zip(hidden, boxes, frames.sizes, frames.scales, strict=True)
        return [self.head.detect(*image, settings.detections) for image in images]

    def region_examples(
        self, maps: Sequence[Tensor], size: Size, truth: Truth, generator: torch.Generator | None
    ) -> tuple[RoiExamples, Losses]:
        """Training regions of one image, and the losses of the region proposals.

        Args:
            maps: neck maps (1, C, H, W) of the image, finest first.
            size: (height, width) of the image in pixels, without padding.
            truth: true boxes (G, 4) in input pixels, and their labels.
            generator: draws the anchors and regions to learn from; None for PyTorch's global one.
        """
        output = self.rpn(maps)
        losses = self.rpn.losses(output, [size], [truth.boxes], generator)
        proposals = self.rpn.propose(output, [size], self.config.rpn.train)[0].boxes
        return self.sample_regions(proposals, truth, generator), losses

    def sample_regions(
        self, proposals: Tensor, truth: Truth, generator: torch.Generator | None
    ) -> RoiExamples:
        """Training regions from proposals (P, 4).

        Args:
            proposals: (P, 4) in input pixels.
            truth: true boxes (G, 4) in input pixels, and their labels.
            generator: draws the regions to learn from; None for PyTorch's global one.
        """
        head = self.config.head
        return roi_examples(
            proposals,
            truth.boxes,
            head.assign,
            head.sample,
            extent=head.boxes.extent,
            add_truth=head.add_truth,
            generator=generator,
        )

    def losses(
        self, maps: Sequence[Tensor], size: Size, truth: Truth, generator: torch.Generator | None
    ) -> Losses:
        """Losses of the region proposals and of the region head, without other frames.

        Args:
            maps: neck maps (1, C, H, W) of the image, finest first.
            size: (height, width) of the image in pixels, without padding.
            truth: true boxes (G, 4) in input pixels, and their labels.
            generator: draws the anchors and regions to learn from; None for PyTorch's global one.
        """
        examples, losses = self.region_examples(maps, size, truth, generator)
        x = self.head.hidden(self.head.pool(maps, [examples.boxes]))
        return losses | self.head.losses(x, examples, truth)


Head = TypeVar("Head", bound=RegionHead)


class RegionMethod(nn.Module, Generic[Head]):
    """What methods on regions of other frames share: settings, detector, region head.

    Args:
        config: the network.
        head: class of its region head.
    """

    def __init__(self, config: ModelConfig, head: type[Head]) -> None:
        super().__init__()
        self.config = config
        self.detector = RegionDetector(config, head)

    @property
    def head(self) -> Head:
        """The region head."""
        return self.detector.head  # type: ignore[return-value]
