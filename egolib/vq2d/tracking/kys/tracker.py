"""The KYS tracker: follows one target through a video in one direction.

Legend: H, W frame size, S crop side (288), h = S / 16 (18) feature side, K boxes.
Positions and sizes are (row, column) pairs, boxes (x, y, width, height).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from egolib.nn.graphs import Captured
from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.ascent import BoxAscent
from egolib.vq2d.tracking.kys.classifier import Convolutions, Products, apply_filters
from egolib.vq2d.tracking.kys.memory import Memory
from egolib.vq2d.tracking.kys.network import KysNetwork, Maps
from egolib.vq2d.tracking.kys.patches import Patch, cut_patch, cut_patches, first_samples
from egolib.vq2d.tracking.kys.predictor import translate
from egolib.vq2d.tracking.kys.target import Motion, Target, TrackStep

CROPS_AT_ONCE = 4


class Seen(NamedTuple):
    """What the network makes of the crops of B targets.

    shallow and deep maps, features of the classifier (B, C, h, h), scores and fused response
    (B, 1, h, h), state (B, D, h, h), peaks (B, 3): highest response, its flat place, and the
    flat place of the highest windowed score.
    """

    shallow: Tensor
    deep: Tensor
    features: Tensor
    scores: Tensor
    response: Tensor
    state: Tensor
    peaks: Tensor


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
        written = self.fast and net.norm == "batch"
        self.ascend = BoxAscent(self.network.iou_net, config, written_gradient=written)
        self.look = Captured(self._look) if self.fast else self._look
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
        samples, boxes = self._first_crops(frame, position, size, scale, generator)
        boxes = boxes.to(self.device)
        maps = Maps(samples.shallow[:1], samples.deep[:1])
        features = self.network.classifier.features(samples.deep)
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
    ) -> tuple[Maps, Tensor]:
        """Maps of the transformed first crops, and the target's box in each, on the CPU."""
        centre = np.round(position)
        twice = 2 * self.side
        wide = cut_patch(frame, centre, (scale * twice,) * 2, (twice, twice), self.device)
        samples = first_samples(wide.image, (self.side, self.side), generator)
        box = self._box_in_crop(position, size, centre, scale)
        moves = torch.tensor(samples.shifts[:, ::-1].copy(), dtype=box.dtype)
        boxes = box.repeat(len(moves), 1)
        boxes[:, :2] += moves
        return self._maps_of_many(samples.images), boxes

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

    def step(self, target: Target, frame: np.ndarray) -> TrackStep:
        """Finds the target in the next frame and updates what is known of it."""
        return self.step_all([target], [frame])[0]

    @torch.no_grad()
    def step_all(self, targets: Sequence[Target], frames: Sequence[np.ndarray]) -> list[TrackStep]:
        """The same for several targets, each with its own frame: one batch for the network.

        Args:
            targets: B of them; equal to B single steps up to rounding.
            frames: (H, W, 3) uint8 RGB of each target.
        """
        patches = self.crops(targets, frames)
        seen = Seen(*self.look(*self.inputs(targets, patches)))
        peaks = seen.peaks.cpu().tolist()
        found = [peak[0] >= self.config.lost_threshold for peak in peaks]
        for target, patch, frame, peak, is_found in zip(
            targets, patches, frames, peaks, found, strict=True
        ):
            target.frames += 1
            if is_found:
                cell = _peak(int(peak[1]), int(peak[2]), self.cells)
                target.position = self._moved(cell, patch, target, frame.shape)
        self._refine(targets, patches, seen, found)
        for i, (target, patch) in enumerate(zip(targets, patches, strict=True)):
            if found[i]:
                one = slice(i, i + 1)
                box = self._box_in_crop(target.position, target.size, patch.centre, patch.scale)
                self._learn(target, seen.features[one], box)
                target.motion = replace(
                    target.motion, deep=seen.deep[one], box_xywh=box, state=seen.state[one]
                )
        return [
            TrackStep(
                target.place, peak[0], is_found, seen.scores[i : i + 1], seen.response[i : i + 1]
            )
            for i, (target, peak, is_found) in enumerate(zip(targets, peaks, found, strict=True))
        ]

    def crops(self, targets: Sequence[Target], frames: Sequence[np.ndarray]) -> list[Patch]:
        """The part of each target's frame where it is searched."""
        return cut_patches(
            frames,
            [target.position for target in targets],
            [(target.scale * self.side,) * 2 for target in targets],
            (self.side, self.side),
            self.device,
        )

    def inputs(self, targets: Sequence[Target], patches: Sequence[Patch]) -> tuple[Tensor, ...]:
        """What ``look`` reads: crops, filters, last maps and states moved to this frame's crop."""
        motions = [target.motion for target in targets]
        images = torch.stack([patch.image for patch in patches])
        weights = torch.cat([target.weight for target in targets])
        previous = torch.cat([motion.deep for motion in motions])
        states = [
            self.network.predictor.start(motion.label) if motion.state is None else motion.state
            for motion in motions
        ]
        shifts = torch.cat([self._alignment(motion) for motion in motions]).to(self.device)
        state = torch.cat(states)
        moved = translate(previous, shifts), translate(state, shifts)
        for i, motion in enumerate(motions):
            if motion.state is None:  # the first step looks at the map as it is
                moved[0][i], moved[1][i] = previous[i], state[i]
        return images, weights, *moved

    def _look(
        self, images: Tensor, weights: Tensor, previous: Tensor, state: Tensor
    ) -> tuple[Tensor, ...]:
        """The fields of ``Seen`` for crops (B, 3, S, S).

        Args:
            images: crops of the frames.
            weights: (B, C, f, f) filters.
            previous: (B, C, h, h) aligned maps of the last frames.
            state: (B, D, h, h) aligned states.
        """
        maps = self.network.maps(images)
        features = self.network.classifier.features(maps.deep)
        scores = apply_filters(features, weights)[..., :-1, :-1]
        windowed = scores * self.window
        prediction = self.network.predictor(
            maps.deep, previous, windowed, state, self.window, official_order=not self.fast
        )
        flat = prediction.response.flatten(1)
        peaks = [flat.amax(1), flat.argmax(1), windowed.flatten(1).argmax(1)]
        summary = torch.stack([x.to(flat.dtype) for x in peaks], dim=1)
        return (*maps, features, scores, prediction.response, prediction.state, summary)

    def _alignment(self, motion: Motion) -> Tensor:
        """(1, 2) shift (x, y) that puts the last box on a cell's middle, or in the crop's
        middle where it came near the border; 0 before the first step."""
        centre = motion.box_xywh[:2] + motion.box_xywh[2:] / 2
        cell = centre / self.stride
        low, high = 0.3 * self.side, 0.7 * self.side
        if motion.state is None:
            return torch.zeros(1, 2)
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

    def _refine(
        self, targets: Sequence[Target], patches: Sequence[Patch], seen: Seen, found: list[bool]
    ) -> None:
        """Fits boxes to the targets that were found: gradient ascent on the predicted IoU from
        ten starts each."""
        if not any(found):
            return
        starts = [
            self._jittered(
                self._box_in_crop(target.position, target.size, patch.centre, patch.scale),
                target.generator if is_found else None,
            )
            for target, patch, is_found in zip(targets, patches, found, strict=True)
        ]
        near, far = (torch.cat([target.modulation[i] for target in targets]) for i in range(2))
        boxes = torch.stack(starts).to(self.device)
        climbed = self.ascend(seen.shallow, seen.deep, near, far, boxes).cpu()
        for i, (target, patch) in enumerate(zip(targets, patches, strict=True)):
            if found[i]:
                self._choose(target, patch, climbed[i, :, :4], climbed[i, :, 4])

    def _choose(self, target: Target, patch: Patch, boxes: Tensor, iou: Tensor) -> None:
        """Moves a target to the mean of the best boxes (K, 4), on the CPU; IoU (K,)."""
        boxes[:, 2:].clamp_(min=1)
        aspect = boxes[:, 2] / boxes[:, 3]
        limit = self.config.largest_aspect
        plausible = (aspect < limit) & (aspect > 1 / limit)
        boxes, iou = boxes[plausible], iou[plausible]
        if not len(boxes):
            return
        best = iou.topk(min(self.config.boxes_averaged, len(iou))).indices
        x, y, width, height = boxes[best].mean(0).numpy()
        centre = np.array([y + height / 2, x + width / 2], np.float32)
        middle = np.float32((self.side - 1) / 2)
        scale = np.float32(patch.scale)
        target.position = (centre - middle) * scale + patch.centre
        target.size = np.array([height, width], np.float32) * scale
        target.scale = math.sqrt(float(target.size.prod() / target.base_size.prod()))

    def _jittered(self, box: Tensor, generator: torch.Generator | None) -> Tensor:
        """(K, 4) the box itself and random ones around it; without a generator, K times itself."""
        count = self.config.jittered_boxes
        if generator is None:
            return box.repeat(1 + count, 1)
        draw = torch.rand(count, 4, generator=generator).to(box) - 0.5
        amount = torch.tensor(self.config.jitter).to(box).repeat_interleave(2)
        change = draw * (box[2:].prod().sqrt() * amount)
        sizes = torch.maximum(box[2:] + change[:, 2:], box[2:].min() / 3)
        centres = box[:2] + box[2:] / 2 + change[:, :2]
        return torch.cat([box[None], torch.cat([centres - sizes / 2, sizes], dim=1)])

    # ---------------------------------------------------------------------- geometry

    def _crop(self, frame: np.ndarray, position: np.ndarray, scale: float) -> Patch:
        size = (scale * self.side,) * 2
        return cut_patch(frame, position, size, (self.side, self.side), self.device)

    def _box_in_crop(
        self, position: np.ndarray, size: np.ndarray, centre: np.ndarray, scale: float
    ) -> Tensor:
        """(4,) x, y, width, height of the target in a crop, on the CPU."""
        middle = (position - centre) / np.float32(scale) + np.float32((self.side - 1) / 2)
        extent = size / np.float32(scale)
        low = middle - (extent - 1) / 2
        box = np.concatenate([low[::-1], extent[::-1]]).astype(np.float32)
        return torch.from_numpy(box)


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


def _peak(fused: int, plain: int, cells: int) -> tuple[int, int]:
    """Row and column of the response's peak; the scores' peak where it is a neighbour.

    Args:
        fused: flat place of the response's peak.
        plain: flat place of the scores' peak.
        cells: along a side.
    """
    (row, column), other = divmod(fused, cells), divmod(plain, cells)
    distance = max(abs(row - other[0]), abs(column - other[1]))
    return other if distance == 1 else (row, column)
