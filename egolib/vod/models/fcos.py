"""FCOS: boxes from every location of a pyramid (Tian et al., ICCV 2019).

B images; L levels; H, W rows and columns of a level; K classes; N locations of all
levels; G true boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from egolib.nn import fixed, init
from egolib.nn.config import DetectionConfig
from egolib.nn.graphs import Captured
from egolib.nn.roi import Found
from egolib.ops import boxes as bx
from egolib.ops.suppression import rows_at
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import FcosConfig, ModelConfig
from egolib.vod.models.ahead import (
    FoundAhead,
    Later,
    Ready,
    StaticParts,
    corner,
    filled,
    frames_ahead,
    packed,
    static,
)
from egolib.vod.models.detector import Neck, make_backbone
from egolib.vod.models.frames import Frames, Losses, Size, Truth, single_frames


class DenseOutput(NamedTuple):
    """Predictions of L levels: logits (B, K, H, W), distances (B, 4, H, W) in pixels to the
    left, top, right and bottom edge, and centerness logits (B, 1, H, W)."""

    logits: list[Tensor]
    distances: list[Tensor]
    centerness: list[Tensor]


class LevelFound(NamedTuple):
    """Detections of one image and the pyramid level, (D,), that each came from."""

    found: Found
    levels: Tensor


class Scale(nn.Module):
    """One learned factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def _tower(channels: int, config: FcosConfig) -> nn.Sequential:
    """3x3 convolutions, each with group norm and ReLU."""
    parts: list[nn.Module] = []
    for _ in range(config.layers):
        parts.append(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
        parts += [nn.GroupNorm(config.groups, channels), nn.ReLU()]
    return nn.Sequential(*parts)


class FcosHead(nn.Module):
    """Two towers over every level; centerness is read from one of them."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config.fcos
        self.class_tower = _tower(channels, config.fcos)
        self.box_tower = _tower(channels, config.fcos)
        self.classify = nn.Conv2d(channels, config.classes, 3, padding=1)
        self.locate = nn.Conv2d(channels, 4, 3, padding=1)
        self.centre = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale() for _ in config.fcos.strides)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                init.normal(part, 0.01)
        prior = config.fcos.prior
        nn.init.constant_(self.classify.bias, -math.log((1 - prior) / prior))  # type: ignore

    def forward(
        self, class_maps: Sequence[Tensor], box_maps: Sequence[Tensor], levels: Sequence[int]
    ) -> DenseOutput:
        """Predictions of some levels; both towers usually read the same maps.

        Args:
            class_maps: (B, C, H, W) of every level, finest first, for the tower of classes.
            box_maps: the same for the tower of boxes.
            levels: those to predict, 0 for the finest.
        """
        output = DenseOutput([], [], [])
        for level in levels:
            of_class = self.class_tower(class_maps[level])
            of_box = self.box_tower(box_maps[level])
            source = of_class if self.config.centerness_on == "classes" else of_box
            output.logits.append(self.classify(of_class))
            output.distances.append(self.scales[level](self.locate(of_box)).exp())
            output.centerness.append(self.centre(source))
        return output


class FcosDetector(nn.Module):
    """Backbone, pyramid and dense head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config)
        self.neck = Neck(self.backbone.channels, config)
        self.head = FcosHead(self.neck.channels, config)
        self.every_level = list(range(len(config.fcos.strides)))
        self.parts = StaticParts()

    def maps(self, images: Tensor) -> list[Tensor]:
        """Pyramid maps of images (B, 3, H, W), finest first."""
        maps: list[Tensor] = self.neck(self.backbone(images))
        return maps

    # ----------------------------------------------------------------- detections

    def detect(self, maps: Sequence[Tensor], frames: Frames, settings: InferConfig) -> list[Found]:
        """Detections in every frame from its maps.

        Args:
            maps: of the pyramid.
            frames: that they are of.
            settings: of testing.
        """
        found = self.detect_levels(maps, maps, frames, self.every_level, settings)
        return [x.found for x in found]

    def detections(self, frames: Frames, settings: InferConfig) -> FoundAhead | Ready:
        """Detections in every frame; they may still be on their way to the host.

        Args:
            frames: of one video.
            settings: of testing.
        """
        if not static(frames):
            found = [self.detect(self.maps(f.images), f, settings) for f in single_frames(frames)]
            return Ready([one for (one,) in found])
        kind = settings.detections, settings.level_limit, "images"
        if kind not in self.parts.dense:
            self.parts.dense[kind] = Captured(partial(self._fixed_detections, *kind[:2]))
        size, count = frames_ahead(settings, frames.images.device), len(frames)
        images, scales = (filled(x, size) for x in (frames.images, frames.scales))
        rows, kept = self.parts.dense[kind](corner(frames, 0.0), images, scales)

        def again(index: int) -> Found:
            frame = frames[index : index + 1]
            return self.detect(self.maps(frame.images), frame, settings)[0]

        return FoundAhead(Later(rows[:count]), Later(kept[:count]), again)

    def detections_of(
        self,
        class_maps: Sequence[Tensor],
        box_maps: Sequence[Tensor],
        frame: Frames,
        settings: InferConfig,
    ) -> FoundAhead:
        """Detections in one frame from its backbone maps; they may be on their way to the host.

        Args:
            class_maps: of the backbone, for the tower of classes.
            box_maps: of the backbone, for the tower of boxes; the same list where both read it.
            frame: that they are of (N = 1).
            settings: of testing.
        """
        both = class_maps is box_maps
        kind = settings.detections, settings.level_limit, "both" if both else "apart"
        if kind not in self.parts.dense:
            self.parts.dense[kind] = Captured(partial(self._fixed_of_maps, *kind))
        maps = [*class_maps, *([] if both else box_maps)]
        rows, kept = self.parts.dense[kind](corner(frame, 0.0), frame.scales, *maps)

        def again(index: int) -> Found:
            class_side = self.neck(class_maps)
            box_side = class_side if both else self.neck(box_maps)
            levels = self.every_level
            return self.detect_levels(class_side, box_side, frame, levels, settings)[0].found

        return FoundAhead(Later(rows), Later(kept), again)

    def _fixed_detections(
        self, limits: DetectionConfig, best: int, edge: Tensor, images: Tensor, scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Rows (B, D, 6) of box, label and score; their number, and whether complete (B, 2)."""
        if images.is_cuda:
            images = images.contiguous(memory_format=torch.channels_last)
        maps = self.maps(images)
        return self._fixed(limits, best, edge, scales, (maps, maps))

    def _fixed_of_maps(
        self,
        limits: DetectionConfig,
        best: int,
        towers: str,
        edge: Tensor,
        scales: Tensor,
        *maps: Tensor,
    ) -> tuple[Tensor, Tensor]:
        count = len(self.backbone.channels)
        class_maps = self.neck(maps[:count])
        box_maps = class_maps if towers == "both" else self.neck(maps[count:])
        return self._fixed(limits, best, edge, scales, (class_maps, box_maps))

    def _fixed(
        self,
        limits: DetectionConfig,
        best: int,
        edge: Tensor,
        scales: Tensor,
        maps: tuple[list[Tensor], list[Tensor]],
    ) -> tuple[Tensor, Tensor]:
        output = self.head(*maps, self.every_level)
        levels = [
            self._fixed_level(x.float(), y.float(), z.float(), i, best, limits.score_threshold)
            for x, y, z, i in zip(*output, self.every_level, strict=True)
        ]
        return packed(fixed.select_dense(levels, edge, scales, limits))

    def _fixed_level(
        self,
        logits: Tensor,
        distances: Tensor,
        centerness: Tensor,
        level: int,
        best: int,
        threshold: float,
    ) -> fixed.Dense:
        """What ``_best_of_level`` gives, of B images and always as many."""
        points, classes = level_points(logits, self._stride(level)), logits.shape[1]
        scores = logits.flatten(2).transpose(1, 2).flatten(1).sigmoid()  # (B, H * W * K)
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        scores, order = scores[:, :best], order[:, :best]
        place = order // classes
        apart = rows_at(distances.flatten(2).transpose(1, 2), place)
        boxes = boxes_around(points[place].flatten(0, 1), apart.flatten(0, 1)).view_as(apart)
        central = centerness.flatten(1).gather(1, place).sigmoid()
        return fixed.Dense(boxes, order % classes, scores * central, scores > threshold)

    @torch.no_grad()
    def detect_levels(
        self,
        class_maps: Sequence[Tensor],
        box_maps: Sequence[Tensor],
        frames: Frames,
        levels: Sequence[int],
        settings: InferConfig,
    ) -> list[LevelFound]:
        """Detections in every frame from some of the levels.

        Args:
            class_maps: of the pyramid, for the tower of classes.
            box_maps: of the pyramid, for the tower of boxes.
            frames: that they are of.
            levels: to read.
            settings: of testing.
        """
        output = self.head(class_maps, box_maps, levels)
        return [self._select(output, i, frames, levels, settings) for i in range(len(frames))]

    def _select(
        self,
        output: DenseOutput,
        image: int,
        frames: Frames,
        levels: Sequence[int],
        settings: InferConfig,
    ) -> LevelFound:
        found = [
            self._best_of_level(x[image].float(), y[image].float(), z[image].float(), i, settings)
            for x, y, z, i in zip(*output, levels, strict=True)
        ]
        boxes = bx.clip(torch.cat([f.boxes for f in found]), frames.sizes[image])
        boxes = boxes / frames.scales[image]
        labels = torch.cat([f.labels for f in found])
        scores = torch.cat([f.scores for f in found])
        sources = zip(levels, found, strict=True)
        origin = torch.cat([f.labels.new_full(f.labels.shape, v) for v, f in sources])
        limits = settings.detections
        kept = bx.nms_by_group(boxes, scores, labels, limits.nms_threshold)[: limits.limit]
        return LevelFound(Found(boxes[kept], labels[kept], scores[kept]), origin[kept])

    def _best_of_level(
        self,
        logits: Tensor,
        distances: Tensor,
        centerness: Tensor,
        level: int,
        settings: InferConfig,
    ) -> Found:
        """The best (location, class) pairs of one level by class score alone; their final
        score is that times the centerness."""
        classes = logits.flatten(1).t().sigmoid()  # (H * W, K)
        good = classes > settings.detections.score_threshold
        location, label = good.nonzero(as_tuple=True)
        scores = classes[location, label]
        order = scores.argsort(descending=True, stable=True)[: settings.level_limit]
        location, label, scores = location[order], label[order], scores[order]
        points = level_points(logits, self._stride(level))[location]
        boxes = boxes_around(points, distances.flatten(1).t()[location])
        return Found(boxes, label, scores * centerness.flatten()[location].sigmoid())

    def _stride(self, level: int) -> int:
        return self.config.fcos.strides[level]

    # --------------------------------------------------------------------- losses

    def losses(
        self,
        maps: Sequence[Tensor],
        size: Size,
        truth: Truth,
        generator: torch.Generator | None = None,
        box_maps: Sequence[Tensor] | None = None,
    ) -> Losses:
        """``classes`` (focal loss), ``boxes`` (-log IoU weighted by centerness) and
        ``centerness`` (binary cross-entropy) of one image.

        Args:
            maps: pyramid maps (1, C, H, W), finest first, for both towers.
            size: not used: every location learns, in the padding too.
            truth: true boxes (G, 4) in input pixels, and their labels.
            generator: not used: no examples are drawn.
            box_maps: pyramid maps for the tower of boxes, where it reads others.
        """
        output = self.head(maps, box_maps or maps, self.every_level)
        logits, distances, centerness = (
            torch.cat([x[0].float().flatten(1).t() for x in part]) for part in output
        )
        points = torch.cat([level_points(x, self._stride(i)) for i, x in enumerate(output.logits)])
        target, labels = self._targets(points, output, truth)
        positive = (labels < self.config.classes).nonzero()[:, 0]
        count = max(len(positive), 1)
        wanted = F.one_hot(labels, self.config.classes + 1)[:, :-1].to(logits)
        focal = sigmoid_focal_loss(
            logits, wanted, self.config.fcos.focal_alpha, self.config.fcos.focal_gamma, "sum"
        )
        target, points = target[positive], points[positive]
        weight = true_centerness(target)
        overlap = bx.paired_iou(
            boxes_around(points, distances[positive]), boxes_around(points, target)
        )
        box_loss = -(overlap.clamp(min=1e-6).log() * weight).sum()
        centre_loss = F.binary_cross_entropy_with_logits(
            centerness[positive, 0], weight, reduction="sum"
        )
        return {
            "classes": focal / count,
            "boxes": box_loss / weight.sum().clamp(min=1e-6),
            "centerness": centre_loss / count,
        }

    @torch.no_grad()
    def _targets(self, points: Tensor, output: DenseOutput, truth: Truth) -> tuple[Tensor, Tensor]:
        """Distances (N, 4) to the true box of every location, and its label (N,), K for none.

        A location learns the smallest true box around it whose largest distance lies in
        its level's range.
        """
        background = truth.labels.new_full((len(points),), self.config.classes)
        if not len(truth.boxes):
            return points.new_zeros(len(points), 4), background
        distances = torch.cat(
            [
                points[:, None] - truth.boxes[None, :, :2],
                truth.boxes[None, :, 2:] - points[:, None],
            ],
            dim=-1,
        )  # (N, G, 4)
        low, high = self._ranges(output)
        largest = distances.amax(-1)
        allowed = (distances.amin(-1) > 0) & (largest >= low) & (largest <= high)
        areas = bx.area(truth.boxes).expand(len(points), -1)
        areas = torch.where(allowed, areas, torch.inf)
        smallest, nearest = areas.min(dim=1)
        labels = torch.where(smallest.isinf(), background, truth.labels[nearest])
        return distances[torch.arange(len(points), device=points.device), nearest], labels

    def _ranges(self, output: DenseOutput) -> tuple[Tensor, Tensor]:
        """Smallest and largest distance, (N, 1), of every location's level."""
        limits = [-1.0, *self.config.fcos.ranges, torch.inf]
        counts = torch.tensor([x.shape[-2] * x.shape[-1] for x in output.logits])
        device = output.logits[0].device
        low, high = (torch.tensor(x, device=device) for x in (limits[:-1], limits[1:]))
        counts = counts.to(device)
        return low.repeat_interleave(counts)[:, None], high.repeat_interleave(counts)[:, None]


def level_points(x: Tensor, stride: int) -> Tensor:
    """Centres (H * W, 2), x before y, of the cells of a map (..., H, W)."""
    rows = (torch.arange(x.shape[-2], device=x.device) + 0.5) * stride
    columns = (torch.arange(x.shape[-1], device=x.device) + 0.5) * stride
    y, x_ = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x_.flatten(), y.flatten()], dim=1)


def boxes_around(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes (N, 4) from points (N, 2) and distances (N, 4) to the four edges."""
    return torch.cat([points - distances[:, :2], points + distances[:, 2:]], dim=1)


def true_centerness(distances: Tensor) -> Tensor:
    """How central a location lies in its box, (N,) in [0, 1] (equation 3)."""
    left, top, right, bottom = distances.unbind(1)
    across = torch.minimum(left, right) / torch.maximum(left, right)
    along = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * along).sqrt()
