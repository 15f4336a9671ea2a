"""EOVOD: cells of backbone maps attend to remembered cells of detected objects
(Sun et al., ECCV 2022; the released model).

L pyramid levels; H, W rows and columns of a map; C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import LocationConfig, ModelConfig
from egolib.vod.models import pixels
from egolib.vod.models.ahead import Ready, backbone_maps, static
from egolib.vod.models.bank import MemoryBank, on_device
from egolib.vod.models.fcos import FcosDetector, LevelFound
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import Aggregator, Projected


@dataclass
class EovodState:
    """Memory of a video, or of all snippets of a source video.

    Args:
        settings: of testing.
        generator: draws rows of the banks.
        random: draws cells of boxes.
        banks: cells, keys and values of every remembered backbone map, by its index.
        references: frames that the first step still has to read.
        known: backbone maps of reference frames by number, until their own turn comes.
        boxes: confirmed boxes of the previous frame, in input pixels.
        active: pyramid levels to run; None for all.
        countdown: frames until all levels run again.
    """

    settings: InferConfig
    generator: torch.Generator
    random: np.random.RandomState
    banks: dict[int, MemoryBank]
    references: list[Frames]
    known: dict[int, list[Tensor]] = field(default_factory=dict)
    boxes: Tensor | None = None
    active: list[int] | None = None
    countdown: int = 0


class Eovod(nn.Module):
    """FCOS whose backbone maps remember cells of detected objects."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.detector = FcosDetector(config)
        channels = self.detector.backbone.channels
        self.aggregators = nn.ModuleDict(
            {str(i): Aggregator(channels[i], config.location.heads) for i in config.location.levels}
        )

    @property
    def location(self) -> LocationConfig:
        """The attention to locations."""
        return self.config.location

    # ------------------------------------------------------------------ inference

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> EovodState:
        """Empty banks, or those of the previous snippet of the same source.

        Args:
            settings: of testing.
            references: frames that the first step reads.
            seed: of the generators, where the banks are emptied.
            number: the number that ends the video's name.
            previous: the state that the previous video left.

        Official behaviour: the banks are emptied only where ``number`` is a multiple of
        1000, so that snippets 00000000, 00000001, ... of one source share them.
        """
        frames = [] if references is None else single_frames(references)
        rules = settings.location
        shared = rules.bank_reset == "official" and number % 1000 != 0
        if previous is not None and shared:
            return EovodState(settings, previous.generator, previous.random, previous.banks, frames)
        generator = torch.Generator().manual_seed(seed)
        banks = {
            i: MemoryBank(rules.size, rules.keys, generator, rules.bank)
            for i in self.location.levels
        }
        return EovodState(settings, generator, np.random.RandomState(seed), banks, frames)

    @torch.no_grad()
    def look_ahead(self, frames: Frames, state: EovodState) -> None:
        """Computes backbone maps of frames that come next.

        Args:
            frames: of the state's video, with numbers.
            state: of the video; it remembers the maps until the frames' turn.
        """
        if len(frames) == 1 and not frames.images.is_cuda:
            return
        maps = backbone_maps(self.detector, frames, state.settings)
        for i, number in enumerate(frames.numbers):
            state.known.setdefault(number, [m[i : i + 1] for m in maps])

    def steps(
        self, frames: Frames, state: EovodState, others: Sequence[dict[str, Frames | None]] = ()
    ) -> Ready:
        """Detections in several frames, one after the other: each needs those of the one before.

        Args:
            frames: of one video, in the order of testing.
            state: of their video; it moves on.
            others: not used.
        """
        return Ready([self.step(frame, state) for frame in single_frames(frames)])

    @torch.no_grad()
    def step(self, frame: Frames, state: EovodState, references: Frames | None = None) -> Found:
        """Detections in one frame; the cells inside them are written to the banks.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; it moves on.
            references: not used: those of ``start_video`` are read with the first frame.
        """
        self._read_references(frame, state)
        known = state.known.pop(frame.numbers[0], None) if frame.numbers else None
        plain = known or backbone_maps(self.detector, frame, state.settings)
        enhanced = self._enhance(plain, state)
        rules = state.settings.location
        if static(frame) and rules.queries == "all" and not rules.size_prior:
            box_maps = enhanced if self.location.enhanced == "both" else plain
            ahead = self.detector.detections_of(enhanced, box_maps, frame, state.settings)
            (found,) = ahead.get()
            self._write([enhanced], [found], frame.scales[:1].cpu(), state)
            return found
        detected = self._detect(plain, enhanced, frame, state)
        self._write([enhanced], [detected.found], frame.scales[:1], state)
        self._remember_location(detected, frame, state)
        return detected.found

    def _read_references(self, frame: Frames, state: EovodState) -> None:
        """Writes cells of what the plain detector finds in the references."""
        if not state.references:
            return
        maps = [backbone_maps(self.detector, r, state.settings) for r in state.references]
        found = [
            self.detector.detect(self.detector.neck(m), r, state.settings)[0]
            for m, r in zip(maps, state.references, strict=True)
        ]
        self._write(maps, found, torch.cat([r.scales for r in state.references]), state)
        for m, reference in zip(maps, state.references, strict=True):
            if reference.numbers:
                state.known[reference.numbers[0]] = m
        state.references = []

    def _enhance(self, maps: Sequence[Tensor], state: EovodState) -> list[Tensor]:
        """Backbone maps whose remembered levels attend to their bank."""
        result = list(maps)
        for level, bank in state.banks.items():
            if not len(bank):
                continue
            _, keys, values = bank.sample()
            cells = self._query_cells(maps[level], level, state)
            result[level] = self._attend(level, maps[level], Projected(keys, values), cells)
        return result

    def _attend(self, level: int, x: Tensor, support: Projected, cells: Tensor | None) -> Tensor:
        """A map (1, C, H, W) whose chosen cells (all where None) have gathered."""
        aggregator = self.aggregators[str(level)]
        if cells is None:
            return pixels.enhance(aggregator, x, support)  # type: ignore[arg-type]
        if not len(cells):
            return x
        rows = pixels.as_cells(x).clone()
        rows[cells] = rows[cells] + aggregator(rows[cells], support)
        return rows.t().reshape(x.shape)

    def _detect(
        self, plain: list[Tensor], enhanced: list[Tensor], frame: Frames, state: EovodState
    ) -> LevelFound:
        class_maps = self.detector.neck(enhanced)
        both = self.location.enhanced == "both"
        box_maps = class_maps if both else self.detector.neck(plain)
        levels = state.active or self.detector.every_level
        found = self.detector.detect_levels(class_maps, box_maps, frame, levels, state.settings)
        return found[0]

    # -------------------------------------------------------------------- writing

    def _write(
        self,
        maps: Sequence[Sequence[Tensor]],
        found: Sequence[Found],
        scales: Tensor,
        state: EovodState,
    ) -> None:
        """One update of every bank with cells of all frames, frame by frame."""
        least = state.settings.location.score
        boxes = [_good_boxes(f, least) * s for f, s in zip(found, scales, strict=True)]
        for level, bank in state.banks.items():
            rows = [
                self._cells_of_frame(m[level], level, b.tolist(), state)
                for m, b in zip(maps, boxes, strict=True)
            ]
            cells = torch.cat(rows)
            bank.update(cells, *self.aggregators[str(level)].project(cells))  # type: ignore

    def _cells_of_frame(
        self, x: Tensor, level: int, boxes: list[list[float]], state: EovodState
    ) -> Tensor:
        """Cells (n, C) of one map (1, C, H, W): inside the boxes, else of largest norm."""
        settings = state.settings.location
        size, stride = (x.shape[-2], x.shape[-1]), self._stride(level)
        chosen = []
        for box in boxes:
            cells = pixels.cells_between_corners(box, size, stride, settings.border)
            if len(cells) > settings.cells_per_box:
                cells = state.random.choice(cells, settings.cells_per_box, replace=False)
            chosen.append(torch.from_numpy(cells))
        index = torch.cat(chosen) if chosen else pixels.largest_cells(x, settings.fallback)
        return pixels.as_cells(x)[on_device(index[: settings.cells_per_frame], x.device)]

    def _stride(self, level: int) -> int:
        return int(4 * 2**level)

    # ------------------------------------------------------- location, size prior

    def _query_cells(self, x: Tensor, level: int, state: EovodState) -> Tensor | None:
        """Indices of the cells that attend; None for all.

        The paper lets only the cells in the previous frame's boxes attend.
        """
        if state.settings.location.queries == "all":
            return None
        size, boxes = (x.shape[-2], x.shape[-1]), state.boxes
        if boxes is None or not len(boxes):
            return torch.empty(0, dtype=torch.int64, device=x.device)
        cells = [
            pixels.cells_with_centre_inside(box, size, self._stride(level))
            for box in boxes.tolist()
        ]
        chosen: Tensor = torch.unique(torch.cat(cells))
        return chosen.to(x.device)

    def _remember_location(self, detected: LevelFound, frame: Frames, state: EovodState) -> None:
        """Keeps confirmed boxes, and the levels that they came from, for the next frames."""
        rules = state.settings.location
        good = detected.found.scores > rules.query_score
        boxes = detected.found.boxes[good] * frame.scales[0]
        centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        half = half * rules.query_scale
        state.boxes = torch.cat([centre - half, centre + half], dim=1)
        if not rules.size_prior:
            return
        state.countdown -= 1
        if state.countdown < 0:  # this was a frame on all levels
            levels = sorted(set(detected.levels[good].tolist()))
            state.active = levels or None
            state.countdown = rules.size_prior if levels else 0
        elif state.countdown == 0:
            state.active = None

    # ------------------------------------------------------------------- training

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame, all of whose cells attend to random cells of the
        references; the references take gradient."""
        assert clip.references is not None, "EOVOD trains on references"
        maps = self.detector.backbone(torch.cat([clip.key.images, clip.references.images]))
        plain = [m[:1] for m in maps]
        enhanced = list(plain)
        for level in self.location.levels:
            cells = self._training_cells(maps[level][1:], generator)
            support = self.aggregators[str(level)].project(cells)  # type: ignore[operator]
            enhanced[level] = self._attend(level, plain[level], support, None)
        neck = self.detector.neck
        box_maps = None if self.location.enhanced == "both" else neck(plain)
        size = clip.key.sizes[0]
        return self.detector.losses(neck(enhanced), size, clip.truth, generator, box_maps)

    def _training_cells(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        number = self.location.training_keys
        return torch.cat([pixels.random_rows(pixels.as_cells(x), number, generator) for x in maps])


def _good_boxes(found: Found, least: float) -> Tensor:
    """Confident boxes, class by class, best first inside a class."""
    good = found.scores > least
    return found.boxes[good][found.labels[good].argsort(stable=True)]
