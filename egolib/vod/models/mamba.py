"""MAMBA: regions, and by option map cells, attend to memory banks (arXiv 2401.09923).

D width of the head; C channels of the last backbone map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import MemoryConfig, ModelConfig
from egolib.vod.models import pixels
from egolib.vod.models.ahead import Hidden, KnownRegions, Regions, backbone_maps
from egolib.vod.models.bank import MemoryBank, on_device
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import Aggregator, Projected, RegionHead, SupportHead
from egolib.vod.models.method import RegionMethod


@dataclass
class MambaState:
    """Memory of a video.

    Args:
        settings: of testing.
        generator: draws rows of the banks, and cells.
        references: what the first frame still has to read.
        banks: one for every layer of the head: rows, keys, values.
        pixel_bank: cells of the backbone map, keys, values.
        known: regions of frames that were computed before their turn.
        known_maps: backbone maps of such frames by number, where cells are remembered.
    """

    settings: InferConfig
    generator: torch.Generator
    references: Frames | None = None
    banks: list[MemoryBank] = field(default_factory=list)
    pixel_bank: MemoryBank | None = None
    known: KnownRegions = field(default_factory=KnownRegions)
    known_maps: dict[int, Tensor] = field(default_factory=dict)
    started: bool = False


class Mamba(RegionMethod[SupportHead]):
    """A detector with memory banks at the instance level, the pixel level, or both.

    The banks keep keys and values beside the rows, so that a frame projects only the
    rows that it writes, where the official code projects all that it reads.
    """

    def __init__(self, config: ModelConfig) -> None:
        head = SupportHead if config.memory.instance else RegionHead
        super().__init__(config, head)  # type: ignore[arg-type]
        if config.memory.pixel:
            channels = self.detector.backbone.channels[-1]
            self.pixel = Aggregator(channels, config.support.heads)

    @property
    def memory(self) -> MemoryConfig:
        """Which levels remember, and how they are trained."""
        return self.config.memory

    # ------------------------------------------------------------------ inference

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> MambaState:
        """Empty banks; they are filled by the first frame and its references.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: frames that fill the banks together with the first frame; None for it alone.
            seed: of the generator that draws rows of the banks and cells of the maps.
            number: not used.
            previous: not used: every video has banks of its own.
        """
        return MambaState(settings, torch.Generator().manual_seed(seed), references)

    @property
    def waits(self) -> bool:  # type: ignore[override]
        """Whether a frame needs the detections of the one before."""
        return self.memory.pixel

    @torch.no_grad()
    def look_ahead(self, frames: Frames, state: MambaState) -> None:
        """Computes regions, or backbone maps, of frames that come next.

        Args:
            frames: of the state's video, with numbers.
            state: of the video; it remembers what was computed until the frames' turn.
        """
        if not self.memory.pixel:
            super().look_ahead(frames, state)
            return
        maps = backbone_maps(self.detector, frames, state.settings)
        for i, number in enumerate(frames.numbers):
            state.known_maps.setdefault(number, maps[-1][i : i + 1])

    @torch.no_grad()
    def hidden(self, frame: Frames, state: MambaState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, the best of which are written to the banks.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; it moves on.
            references: not used: those of ``start_video`` are read with the first frame.
        """
        own = self._own_regions(frame, state)
        if not state.started:
            state.banks = self._filled_banks(frame, own, state)
            state.started = True
            support = [_support(bank.all()) for bank in state.banks]
            return Hidden(self.head.attend_from(own.first, support), own.boxes)
        top = self._top(state.settings)
        return Hidden(self._attend_and_write(own.first, state.banks, top), own.boxes)

    @torch.no_grad()
    def step(self, frame: Frames, state: MambaState, references: Frames | None = None) -> Found:
        """Detections in one frame; its best regions (and cells) are written to the banks.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; it moves on.
            references: not used: those of ``start_video`` are read with the first frame.
        """
        if not self.memory.pixel:
            return super().step(frame, state)
        x = self._backbone_map(frame, state)
        if not state.started:
            self._fill(frame, x, state)
        assert state.pixel_bank is not None
        _, keys, values = state.pixel_bank.sample()
        x = pixels.enhance(self.pixel, x, Projected(keys, values))
        found = self._detect(x, frame, state)
        self._write_pixels(x, found.boxes * frame.scales[0], found.scores, state)
        state.started = True
        return found

    def _backbone_map(self, frame: Frames, state: MambaState) -> Tensor:
        known = state.known_maps.pop(frame.numbers[0], None) if frame.numbers else None
        return backbone_maps(self.detector, frame, state.settings)[-1] if known is None else known

    def _detect(self, x: Tensor, frame: Frames, state: MambaState) -> Found:
        maps = self.detector.neck([x])
        boxes = self.detector.propose(maps, frame.sizes, state.settings.proposals)[0].boxes
        pooled = self.detector.head.pool(maps, [boxes])
        if not self.memory.instance:
            hidden = self.detector.head.hidden(pooled)
        elif not state.started:
            hidden = self.head.attend(pooled, [_support(bank.all()) for bank in state.banks])
        else:
            hidden = self.attend_and_write(pooled, state.banks, self._top(state.settings))
        detections = state.settings.detections
        return self.detector.head.detect(hidden, boxes, frame.sizes[0], frame.scales[0], detections)

    def _top(self, settings: InferConfig) -> int:
        """Regions of a frame that are written."""
        return self.memory.top if settings.memory.top is None else settings.memory.top

    def attend_and_write(self, pooled: Tensor, banks: Sequence[MemoryBank], top: int) -> Tensor:
        """Hidden features (R, D); each layer's best rows enter its bank before the ReLU.

        Args:
            pooled: (R, C * S * S) features of the regions, best first.
            banks: one a layer.
            top: how many rows are written.
        """
        return self._attend_and_write(self.head.first(pooled), banks, top)

    def _attend_and_write(self, first: Tensor, banks: Sequence[MemoryBank], top: int) -> Tensor:
        x, head = first, self.head
        for i, (aggregator, bank) in enumerate(zip(head.aggregators, banks, strict=True)):
            x = head.layers[i](x) if i else x
            x = x + aggregator(x, _support(bank.sample()))
            written = x[:top]
            bank.update(written, *aggregator.project(written))  # type: ignore[operator]
            x = F.relu(x)
        return x

    # ---------------------------------------------------------------- first frame

    def _filled_banks(self, frame: Frames, own: Regions, state: MambaState) -> list[MemoryBank]:
        """Banks of the best regions of the references and the first frame, which comes last."""
        regions = []
        if state.references is not None:
            others = self._regions_of(state.references, state)
            regions = [other() for other in others]
            if state.references.numbers:
                state.known.keep(state.references, others)
                state.known.take(frame)
            state.references = None
        top, head = self._top(state.settings), self.head
        parts = [head.support_rows_from(r.first[:top]) for r in [*regions, own]]
        return self._banks_of(parts, state)

    def _fill(self, frame: Frames, x: Tensor, state: MambaState) -> None:
        """Fills the banks from the references and the first frame, which comes last."""
        references = [] if state.references is None else single_frames(state.references)
        frames, maps = [*references, frame], []
        for reference in references:
            maps.append(self._backbone_map(reference, state))
            if reference.numbers and reference.numbers != frame.numbers:
                state.known_maps[reference.numbers[0]] = maps[-1]
        maps.append(x)
        state.pixel_bank = _bank(state)
        self._fill_pixels(frames, maps, state)
        if self.memory.instance:
            state.banks = self._region_banks(frames, maps, state)
        state.references = None

    def _region_banks(
        self, frames: list[Frames], maps: list[Tensor], state: MambaState
    ) -> list[MemoryBank]:
        """Banks of the best regions of every frame, which attend to nothing."""
        pairs = zip(frames, maps, strict=True)
        parts = [self._top_rows(frame, x, state.settings) for frame, x in pairs]
        return self._banks_of(parts, state)

    def _banks_of(self, parts: Sequence[list[Tensor]], state: MambaState) -> list[MemoryBank]:
        """Banks from the rows of every layer, of every frame."""
        layers = [torch.cat(rows) for rows in zip(*parts, strict=True)]
        banks = []
        for aggregator, rows in zip(self.head.aggregators, layers, strict=True):
            bank = _bank(state)
            bank.update(rows, *aggregator.project(rows))  # type: ignore[operator]
            banks.append(bank)
        return banks

    def _top_rows(self, frame: Frames, x: Tensor, settings: InferConfig) -> list[Tensor]:
        maps = self.detector.neck([x])
        found = self.detector.propose(maps, frame.sizes, settings.proposals)[0]
        best = found.top(self._top(settings))
        return self.head.support_rows(self.head.pool(maps, [best.boxes]))

    # ---------------------------------------------------------------- pixel level

    def _fill_pixels(self, frames: list[Frames], maps: list[Tensor], state: MambaState) -> None:
        """Detects in all frames with what they know of each other, and writes their cells."""
        banks = self._region_banks(frames, maps, state) if self.memory.instance else []
        first = MambaState(state.settings, state.generator, None, banks)
        for frame, x in zip(frames, maps, strict=True):
            found = self._detect(x, frame, first)
            self._write_pixels(x, found.boxes * frame.scales[0], found.scores, state)

    def _write_pixels(self, x: Tensor, boxes: Tensor, scores: Tensor, state: MambaState) -> None:
        """Writes cells of a map (1, C, H, W) inside boxes (input pixels), best first."""
        assert state.pixel_bank is not None
        good = scores > state.settings.memory.pixel_score
        cells = self._cells(x, boxes[good].tolist(), state)
        rows = pixels.as_cells(x)[on_device(cells, x.device)]
        state.pixel_bank.update(rows, *self.pixel.project(rows))

    def _cells(self, x: Tensor, boxes: list[list[float]], state: MambaState) -> Tensor:
        rules = state.settings.memory
        if not boxes:
            return pixels.largest_cells(x, rules.pixel_fallback)
        size, stride = (x.shape[-2], x.shape[-1]), self.config.head.roi.strides[0]
        chosen = [
            pixels.random_rows(
                pixels.cells_with_centre_inside(box, size, stride),
                rules.pixels_per_box,
                state.generator,
            )
            for box in boxes
        ]
        return torch.cat(chosen)[: rules.pixels_per_frame]

    # ------------------------------------------------------------------- training

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """SELSA's losses with every reference's proposals cut to the best; no state."""
        assert clip.references is not None, "MAMBA trains on references"
        detector = self.detector
        x = detector.backbone(torch.cat([clip.key.images, clip.references.images]))[-1]
        key, others = x[:1], x[1:]
        if self.memory.pixel:
            support = self.pixel.project(self._training_cells(others, generator))
            key = pixels.enhance(self.pixel, key, support)
        maps = detector.neck([key])
        examples, losses = detector.region_examples(maps, clip.key.sizes[0], clip.truth, generator)
        pooled = detector.head.pool(maps, [examples.boxes])
        if self.memory.instance:
            hidden = self.head.attend(pooled, self._reference_support(others, clip.references))
        else:
            hidden = detector.head.hidden(pooled)
        return losses | detector.head.losses(hidden, examples, clip.truth)

    def _reference_support(self, x: Tensor, references: Frames) -> list[Projected]:
        maps = self.detector.neck([x])
        proposals = self.detector.propose(maps, references.sizes)
        best = [p.top(self.memory.top).boxes for p in proposals]
        return self.head.support(self.head.pool(maps, best))

    def _training_cells(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Random cells of every reference map (N, C, H, W).

        Cells inside true boxes would leak: with still images the references are copies
        of the key frame (-4 AP50 at one epoch, by the author).
        """
        number = self.memory.pixel_training_keys
        cells = [pixels.random_rows(pixels.as_cells(x), number, generator) for x in maps]
        return pixels.random_rows(torch.cat(cells), number, generator)


def _bank(state: MambaState) -> MemoryBank:
    rules = state.settings.memory
    return MemoryBank(rules.size, rules.keys, state.generator, rules.bank)


def _support(columns: list[Tensor]) -> Projected:
    """Keys and values of a bank's columns (rows, keys, values)."""
    return Projected(columns[1], columns[2])
