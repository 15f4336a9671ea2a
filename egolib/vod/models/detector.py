"""The frame detector that the methods share: backbone, neck, region proposals, region head.

B images; P proposals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from egolib.nn import fixed
from egolib.nn.config import DetectionConfig, ProposalConfig
from egolib.nn.fpn import FeaturePyramid, MapReduction
from egolib.nn.graphs import Captured
from egolib.nn.resnet import ResNet
from egolib.nn.roi import Found, RoiExamples, roi_examples
from egolib.nn.rpn import Proposals, RegionProposals
from egolib.nn.swin import Swin
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.ahead import (
    FoundAhead,
    Hidden,
    Later,
    Ready,
    Regions,
    RegionsAhead,
    StaticParts,
    corner,
    filled,
    frames_ahead,
    packed,
    static,
)
from egolib.vod.models.frames import Frames, Losses, Size, Truth, single_frames
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
        self.parts = StaticParts()

    def maps(self, images: Tensor, *guides: Tensor) -> list[Tensor]:
        """Neck maps, finest first.

        Args:
            images: (B, 3, H, W).
            guides: what else the backbone takes (STPN's prompts).
        """
        maps: list[Tensor] = self.neck(self.backbone(images, *guides))
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

    # ---------------------------------------------------------- many frames at once

    def regions(
        self,
        frames: Frames,
        settings: InferConfig,
        *guides: Tensor,
        maps: Sequence[Tensor] | None = None,
        keep_maps: bool = False,
    ) -> list[Callable[[], Regions]]:
        """Regions of every frame; each is asked for when it is needed.

        Args:
            frames: of one video.
            settings: of testing.
            guides: what else the backbone takes.
            maps: of the neck, where they are known.
            keep_maps: whether neck maps are among the results.
        """
        if static(frames):
            size, parts = frames_ahead(settings, frames.images.device), []
            for i in range(0, len(frames), size):
                own = None if maps is None else [m[i : i + size] for m in maps]
                parts += self._regions_ahead(frames[i : i + size], settings, guides, own, keep_maps)
            return parts
        found: list[Callable[[], Regions]] = []
        for i, frame in enumerate(single_frames(frames)):
            own = None if maps is None else [m[i : i + 1] for m in maps]
            found.append(partial(_itself, self._regions(frame, settings, guides, own, keep_maps)))
        return found

    def _regions(
        self,
        frame: Frames,
        settings: InferConfig,
        guides: Sequence[Tensor],
        maps: list[Tensor] | None,
        keep_maps: bool,
    ) -> Regions:
        """Regions of one frame, as many as there are."""
        maps = self.maps(frame.images, *guides) if maps is None else maps
        boxes = self.propose(maps, frame.sizes, settings.proposals)[0].boxes
        first = self.head.first(self.head.pool(maps, [boxes]))
        return Regions(boxes, first, maps if keep_maps else [])

    def _regions_ahead(
        self,
        frames: Frames,
        settings: InferConfig,
        guides: Sequence[Tensor],
        maps: list[Tensor] | None,
        keep_maps: bool,
    ) -> list[Callable[[], Regions]]:
        limits = settings.proposals or self.config.rpn.test
        kind = limits, keep_maps, maps is None
        if kind not in self.parts.regions:
            work = self._fixed_regions if maps is None else self._fixed_regions_of_maps
            self.parts.regions[kind] = Captured(partial(work, limits, keep_maps))
        size = frames_ahead(settings, frames.images.device)
        inputs = [filled(x, size) for x in ([frames.images] if maps is None else maps)]
        edge = corner(frames, self.config.rpn.boxes.extent)
        boxes, first, kept, complete = self.parts.regions[kind](edge, *inputs, *guides)

        def again(index: int) -> Regions:
            own = None if maps is None else [m[index : index + 1] for m in maps]
            return self._regions(frames[index : index + 1], settings, guides, own, keep_maps)

        ahead = RegionsAhead((boxes, first, kept), Later(complete), again)
        return [partial(ahead.frame, i) for i in range(len(frames))]

    def _fixed_regions(
        self,
        limits: ProposalConfig,
        keep_maps: bool,
        edge: Tensor,
        images: Tensor,
        *guides: Tensor,
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        maps = self.maps(images, *guides)
        return self._fixed_regions_of_maps(limits, keep_maps, edge, *maps)

    def _fixed_regions_of_maps(
        self, limits: ProposalConfig, keep_maps: bool, edge: Tensor, *maps: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Boxes (B, P, 4), features (B, P, D), maps, and which frames are complete (B,)."""
        found = fixed.propose(self.rpn, self.rpn(maps), edge, limits)
        first = self.head.first(self.head.pool(maps, list(found.boxes)))
        first = torch.unflatten(first, 0, found.boxes.shape[:2])
        return found.boxes, first, list(maps) if keep_maps else [], found.complete

    def detections(
        self, hidden: Sequence[Hidden], frames: Frames, settings: InferConfig
    ) -> FoundAhead | Ready:
        """Detections of every frame; they may still be on their way to the host.

        Args:
            hidden: regions of every frame.
            frames: that they are of.
            settings: of testing.
        """

        def one(index: int) -> Found:
            size, scale = frames.sizes[index], frames.scales[index]
            return self.head.detect(*hidden[index], size, scale, settings.detections)

        counts = {len(h.boxes) for h in hidden}
        if not static(frames) or len(counts) > 1 or not max(counts):
            return Ready([one(i) for i in range(len(frames))])
        limits = settings.detections
        if limits not in self.parts.detections:
            self.parts.detections[limits] = Captured(partial(self._fixed_detections, limits))
        size = frames_ahead(settings, frames.images.device)
        features, boxes = (torch.stack(x) for x in zip(*hidden, strict=True))
        inputs = [filled(x, size) for x in (features, boxes, frames.scales)]
        edge = corner(frames, self.head.coder.config.extent)
        rows, kept = self.parts.detections[limits](edge, *inputs)
        count = len(frames)
        return FoundAhead(Later(rows[:count]), Later(kept[:count]), one)

    def _fixed_detections(
        self, limits: DetectionConfig, edge: Tensor, x: Tensor, boxes: Tensor, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Rows (B, D, 6) of box, label and score; their number, and whether complete (B, 2)."""
        output = self.head.predict(x.flatten(0, 1)).float()
        foreground = self.head.predict.foreground(output)
        scores, offsets = (torch.unflatten(y, 0, x.shape[:2]) for y in foreground)
        found = fixed.select(
            scores, offsets, boxes, edge, scales, coder=self.head.coder, config=limits
        )
        return packed(found)

    # ------------------------------------------------------------------- training

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


def _itself(regions: Regions) -> Regions:
    return regions
