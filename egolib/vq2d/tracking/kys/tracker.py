"""The KYS tracker: follows one target through a video in one direction.

Legend: H, W frame size, S crop side (288), h = S / 16 (18) feature side, K boxes.
Positions and sizes are (row, column) pairs, boxes (x, y, width, height).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.classifier import Convolutions, Products, apply_filter
from egolib.vq2d.tracking.kys.iou_gradient import IouGradient
from egolib.vq2d.tracking.kys.iou_net import Weighted
from egolib.vq2d.tracking.kys.memory import Memory
from egolib.vq2d.tracking.kys.network import KysNetwork, Maps
from egolib.vq2d.tracking.kys.patches import Patch, cut_patch, first_samples
from egolib.vq2d.tracking.kys.predictor import Prediction, translate

CROPS_AT_ONCE = 4


@dataclass(frozen=True)
class TrackStep:
    """What the tracker says about a frame.

    Args:
        box_xywh: (4,) float64, pixels of the frame.
        response: highest fused response, 0 to 1.
        found: False where the target counts as lost; the box is then the last one.
        scores: (1, 1, h, h) classifier scores.
        fused: (1, 1, h, h) fused response.
    """

    box_xywh: np.ndarray
    response: float
    found: bool
    scores: Tensor
    fused: Tensor


@dataclass(frozen=True)
class Motion:
    """What is known of the surroundings: the last frame's map and the carried state.

    Args:
        deep: (1, C, h, h).
        box_xywh: (4,) the target in that crop.
        state: (1, D, h, h); None before the first step.
        label: (1, 1, h, h) of the first frame.
    """

    deep: Tensor
    box_xywh: Tensor
    state: Tensor | None
    label: Tensor


@dataclass
class Target:
    """All that a tracker remembers of its target.

    Args:
        position: (2,) float32 row and column of the target's middle, in frame pixels.
        size: (2,) float32 height and width of the target, in frame pixels.
        base_size: (2,) float32, of the target in crops of scale 1.
        scale: frame pixels per crop pixel of the next crop.
        weight: (1, C, f, f) target filter.
        memory: samples that the filter is fitted to.
        modulation: vectors of the IoU net.
        motion: map and state of the last frame in which it was found.
        generator: of the tracker's random numbers, on the CPU.
        frames: how many frames were seen.
    """

    position: np.ndarray
    size: np.ndarray
    base_size: np.ndarray
    scale: float
    weight: Tensor
    memory: Memory
    modulation: tuple[Tensor, Tensor]
    motion: Motion
    generator: torch.Generator
    frames: int = 1

    def copy(self, generator: torch.Generator) -> Target:
        """An independent target with its own random numbers."""
        return replace(self, memory=self.memory.copy(), generator=generator)


class KysTracker:
    """Starts on a box and follows it frame by frame.

    Args:
        network: in evaluation mode.
        config: published settings by default.

    All random numbers (shifts of the first crops, dropout, jitter of boxes) come from one
    CPU generator in the official order, so that a seed fixes the track.
    """

    def __init__(self, network: KysNetwork, config: TrackConfig):
        self.fast = config.path == "fast"
        self.network = network.for_inference() if self.fast else network.eval()
        self.network.requires_grad_(False)
        self.config, net = config, network.config
        self.work = Products if self.fast else Convolutions
        # group norms look at whole maps and regions
        self.local = self.fast and net.norm == "batch"
        own = IouGradient(self.network.iou_net) if self.local else self._differentiated
        self.iou_gradient: Callable[[Weighted, Tensor], tuple[Tensor, Tensor]] = own
        self.side, self.cells, self.stride = net.image_side, net.feature_side, net.stride
        self.device = next(network.parameters()).device
        self.window = hann_window(self.cells).to(self.device)

    # ------------------------------------------------------------------ first frame

    @torch.no_grad()
    def start(self, frame: np.ndarray, box_xywh: np.ndarray, generator: torch.Generator) -> Target:
        """Learns a target.

        Args:
            frame: (H, W, 3) uint8 RGB.
            box_xywh: (4,) pixels.
            generator: a CPU generator; it goes on drawing in the steps.
        """
        x, y, width, height = (float(value) for value in box_xywh)
        position = np.array([y + (height - 1) / 2, x + (width - 1) / 2], np.float32)
        size = np.array([height, width], np.float32)
        scale = math.sqrt(self.config.search_area**2 * height * width) / self.side
        samples, boxes, deep_maps = self._first_crops(frame, position, size, scale, generator)
        maps = Maps(samples.shallow[:1], samples.deep[:1])
        features = self.network.classifier.features(deep_maps)
        features = torch.cat([features, self._dropped(features[:1], generator)])
        boxes = torch.cat([boxes, boxes[:1].expand(self.config.dropout_copies, 4)])
        fit = self.network.classifier.optimiser(
            self.network.classifier.initialiser(features, boxes),
            features,
            boxes,
            self.config.first_iterations,
            work=self.work,
        )
        return Target(
            position=position,
            size=size,
            base_size=(size / np.float32(scale)).astype(np.float32),
            scale=scale,
            weight=fit.weight,
            memory=Memory(features, boxes, self.config),
            modulation=self.network.iou_net.modulation(*maps, boxes[:1]),
            motion=self._first_motion(frame, position, size, scale),
            generator=generator,
        )

    def _first_crops(
        self,
        frame: np.ndarray,
        position: np.ndarray,
        size: np.ndarray,
        scale: float,
        generator: torch.Generator,
    ) -> tuple[Maps, Tensor, Tensor]:
        """Maps of the transformed first crops, and the target's box in each."""
        centre = np.round(position)
        twice = 2 * self.side
        wide = cut_patch(frame, centre, (scale * twice,) * 2, (twice, twice), self.device)
        samples = first_samples(wide.image, (self.side, self.side), generator)
        box = self._box_in_crop(position, size, centre, scale)
        moves = torch.tensor(samples.shifts[:, ::-1].copy(), dtype=box.dtype, device=box.device)
        boxes = box.repeat(len(moves), 1)
        boxes[:, :2] += moves
        maps = self._maps_of_many(samples.images)
        return maps, boxes, maps.deep

    def _maps_of_many(self, images: Tensor) -> Maps:
        """Maps of crops (n, 3, S, S); on the CPU a few at a time, which stay in the cache."""
        if not self.fast or self.device.type != "cpu":
            return self.network.maps(images)
        parts = [self.network.maps(part) for part in torch.split(images, CROPS_AT_ONCE)]
        return Maps(*(torch.cat(maps) for maps in zip(*parts, strict=True)))

    def _first_motion(
        self, frame: np.ndarray, position: np.ndarray, size: np.ndarray, scale: float
    ) -> Motion:
        """The first frame's map, box and label, from a crop as the steps take it."""
        patch = self._crop(frame, position, scale)
        maps = self.network.maps(patch.image[None])
        offset = (position - patch.centre) / (patch.scale * self.side)
        label = gaussian_label(
            self.cells * offset + 0.5, self.cells, self.network.config.label_sigma
        )
        box = self._box_in_crop(position, size, patch.centre, patch.scale)
        return Motion(maps.deep, box, None, label.to(self.device))

    def _dropped(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Copies of one feature map (1, C, h, h) with whole channels dropped at random."""
        keep = 1 - self.config.dropout
        copies = features.expand(self.config.dropout_copies, -1, -1, -1)
        shape = (len(copies), copies.shape[1], 1, 1)
        noise = torch.empty(shape).bernoulli_(keep, generator=generator) / keep
        return copies * noise.to(features)

    # ------------------------------------------------------------------- next frames

    @torch.no_grad()
    def step(self, target: Target, frame: np.ndarray) -> TrackStep:
        """Finds the target in the next frame and updates what is known of it."""
        target.frames += 1
        patch = self._crop(frame, target.position, target.scale)
        maps = self.network.maps(patch.image[None])
        features = self.network.classifier.features(maps.deep)
        scores = apply_filter(features, target.weight)[..., :-1, :-1]
        windowed = scores * self.window
        prediction = self._surroundings(target.motion, maps.deep, windowed)
        response = float(prediction.response.max())
        found = response >= self.config.lost_threshold
        if found:
            peak = _peak(prediction.response, windowed)
            target.position = self._moved(peak, patch, target, frame.shape)
            self._refine(target, patch, maps)
            box = self._box_in_crop(target.position, target.size, patch.centre, patch.scale)
            self._learn(target, features, box)
            target.motion = replace(
                target.motion, deep=maps.deep, box_xywh=box, state=prediction.state
            )
        row, column = target.position.astype(np.float64)
        height, width = target.size.astype(np.float64)
        place = np.array([column - (width - 1) / 2, row - (height - 1) / 2, width, height])
        return TrackStep(place, response, found, scores, prediction.response)

    def _surroundings(self, motion: Motion, deep: Tensor, windowed: Tensor) -> Prediction:
        """Fuses the classifier's scores with the state carried from the last frame."""
        predictor = self.network.predictor
        previous, state = motion.deep, motion.state
        if state is None:
            state = predictor.start(motion.label)
        else:
            shift = self._alignment(motion.box_xywh)
            previous, state = translate(previous, shift), translate(state, shift)
        found: Prediction = predictor(
            deep, previous, windowed, state, self.window, official_order=not self.fast
        )
        return found

    def _alignment(self, box_xywh: Tensor) -> Tensor:
        """(1, 2) shift (x, y) that puts the last box on a cell's middle, or in the crop's
        middle where it came near the border."""
        centre = box_xywh[:2] + box_xywh[2:] / 2
        cell = centre / self.stride
        low, high = 0.3 * self.side, 0.7 * self.side
        if bool(((centre < low) | (centre > high)).any()):
            return (2 * (cell - self.cells / 2) / self.cells)[None]
        return ((cell.round() + 0.5 - cell) / self.cells)[None]

    def _moved(
        self, peak: tuple[int, int], patch: Patch, target: Target, shape: tuple[int, ...]
    ) -> np.ndarray:
        """(2,) position of a response peak, kept near the frame."""
        steps = np.array(peak, np.float32) - self.cells // 2
        position = patch.centre + steps * np.float32(self.stride * patch.scale)
        beyond = np.float32(self.config.outside) * target.size
        limit = np.array(shape[:2], np.float32) + beyond
        result: np.ndarray = np.clip(position, -beyond, limit).astype(np.float32)
        return result

    def _learn(self, target: Target, features: Tensor, box: Tensor) -> None:
        """Remembers the crop and, every so often, fits the filter again."""
        target.memory.add(features, box)
        if (target.frames - 1) % self.config.update_every == 0:
            samples, boxes, weights = target.memory.samples()
            fit = self.network.classifier.optimiser(
                target.weight,
                samples,
                boxes,
                self.config.update_iterations,
                weights,
                work=self.work,
            )
            target.weight = fit.weight

    # -------------------------------------------------------------------- refinement

    def _refine(self, target: Target, patch: Patch, maps: Maps) -> None:
        """Fits the box to the target: gradient ascent on the predicted IoU from ten starts."""
        start = self._box_in_crop(target.position, target.size, patch.centre, patch.scale)
        boxes, iou = self._ascend(target, maps, self._jittered(start, target.generator))
        boxes[:, 2:].clamp_(min=1)
        aspect = boxes[:, 2] / boxes[:, 3]
        limit = self.config.largest_aspect
        plausible = (aspect < limit) & (aspect > 1 / limit)
        boxes, iou = boxes[plausible], iou[plausible]
        if not len(boxes):
            return
        best = iou.topk(min(self.config.boxes_averaged, len(iou))).indices
        x, y, width, height = boxes[best].mean(0).cpu().numpy()
        centre = np.array([y + height / 2, x + width / 2], np.float32)
        middle = np.float32((self.side - 1) / 2)
        scale = np.float32(patch.scale)
        target.position = (centre - middle) * scale + patch.centre
        target.size = np.array([height, width], np.float32) * scale
        target.scale = math.sqrt(float(target.size.prod() / target.base_size.prod()))

    def _jittered(self, box: Tensor, generator: torch.Generator) -> Tensor:
        """(K, 4) the box itself and random ones around it."""
        draw = torch.rand(self.config.jittered_boxes, 4, generator=generator).to(box) - 0.5
        amount = torch.tensor(self.config.jitter).to(box).repeat_interleave(2)
        change = draw * (box[2:].prod().sqrt() * amount)
        sizes = torch.maximum(box[2:] + change[:, 2:], box[2:].min() / 3)
        centres = box[:2] + box[2:] / 2 + change[:, :2]
        return torch.cat([box[None], torch.cat([centres - sizes / 2, sizes], dim=1)])

    def _ascend(self, target: Target, maps: Maps, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (K, 4) after the ascent, and the IoU (K,) predicted before its last step.

        Official behaviour: the ranking uses that older IoU.
        """
        net = self.network.iou_net
        if self.local:
            near = net.weighted_near(target.modulation, *maps, boxes)
            found = self._climb(near, boxes)
            if found is not None:
                return found
        found = self._climb(net.weighted(target.modulation, *maps), boxes)
        assert found is not None  # whole maps cover every box
        return found

    def _climb(self, weighted: Weighted, boxes: Tensor) -> tuple[Tensor, Tensor] | None:
        """Gradient steps; None where a box leaves the part that the maps cover."""
        for _ in range(self.config.ascent_steps):
            if not weighted.covers(boxes):
                return None
            iou, gradient = self.iou_gradient(weighted, boxes)
            boxes = boxes + gradient * boxes[:, 2:].repeat(1, 2)
        return boxes, iou

    def _differentiated(self, weighted: Weighted, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """IoU (K,) and its gradient (K, 4) by automatic differentiation."""
        with torch.enable_grad():
            moving = boxes.detach().requires_grad_()
            iou = self.network.iou_net(weighted, moving[None])
            (gradient,) = torch.autograd.grad(iou.sum(), moving)
        return iou.detach()[0], gradient

    # ---------------------------------------------------------------------- geometry

    def _crop(self, frame: np.ndarray, position: np.ndarray, scale: float) -> Patch:
        size = (scale * self.side,) * 2
        return cut_patch(frame, position, size, (self.side, self.side), self.device)

    def _box_in_crop(
        self, position: np.ndarray, size: np.ndarray, centre: np.ndarray, scale: float
    ) -> Tensor:
        """(4,) x, y, width, height of the target in a crop."""
        middle = (position - centre) / np.float32(scale) + np.float32((self.side - 1) / 2)
        extent = size / np.float32(scale)
        low = middle - (extent - 1) / 2
        box = np.concatenate([low[::-1], extent[::-1]]).astype(np.float32)
        return torch.from_numpy(box).to(self.device)


# ---------------------------------------------------------------------------- parts


def hann_window(cells: int) -> Tensor:
    """(1, 1, cells, cells) the middle of a Hann window of twice the size.

    The window of 2 cells + 3 values is cut to its middle cells + 1, whose last row and
    column are dropped.
    """
    length = 2 * cells + 3
    values = 0.5 * (1 - torch.cos(2 * math.pi / (length + 1) * torch.arange(1.0, length + 1)))
    first = (length - (cells + 1)) // 2
    middle = values[first : first + cells]
    return (middle[:, None] * middle[None, :])[None, None]


def gaussian_label(centre: np.ndarray, cells: int, sigma: float) -> Tensor:
    """(1, 1, cells, cells) Gaussian at a centre (row, column) counted from the map's middle.

    Args:
        centre: (row, column) in cells.
        cells: along a side.
        sigma: in cells.
    """
    positions = torch.arange(cells, dtype=torch.float32) - (cells - 1) / 2
    row, column = (torch.exp(-0.5 / sigma**2 * (positions - float(value)) ** 2) for value in centre)
    return (row[:, None] * column[None, :])[None, None]


def _peak(response: Tensor, scores: Tensor) -> tuple[int, int]:
    """Row and column of the response's peak; the scores' peak where it is a neighbour."""
    fused, plain = _argmax(response), _argmax(scores)
    distance = max(abs(fused[0] - plain[0]), abs(fused[1] - plain[1]))
    return plain if distance == 1 else fused


def _argmax(maps: Tensor) -> tuple[int, int]:
    row, column = divmod(int(maps.argmax()), maps.shape[-1])
    return row, column
