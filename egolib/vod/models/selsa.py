"""SELSA: regions attend to regions of other frames (Wu et al., ICCV 2019; mmtracking)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.ahead import Hidden, KnownRegions, Regions
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import Projected, SupportHead, join_projected
from egolib.vod.models.method import RegionMethod


@dataclass
class FrameSupport:
    """One frame: its proposals, their first features, what they are to other frames' regions,
    and its maps where a sliding window keeps them."""

    boxes: Tensor
    first: Tensor
    projected: list[Projected]
    maps: list[Tensor] = field(default_factory=list)
    number: int | None = None


@dataclass
class SelsaState:
    """Support of a video.

    Args:
        settings: of testing.
        fixed: keys and values of all adaptive references, for every layer.
        window: frames of a sliding window.
        known: regions of reference frames, and of frames that come next, by number.
    """

    settings: InferConfig
    fixed: list[Projected] = field(default_factory=list)
    window: list[FrameSupport] = field(default_factory=list)
    known: KnownRegions = field(default_factory=KnownRegions)


class Selsa(RegionMethod[SupportHead]):
    """A detector whose regions gather from the regions of a video's other frames.

    What a reference frame contributes (maps, proposals, region features, keys, values)
    depends on nothing else, so it is computed once, where the official code repeats
    proposals and region head of all references with every frame.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, SupportHead)

    # ------------------------------------------------------------------ inference

    @torch.no_grad()
    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> SelsaState:
        """Computes the support of the references that come with the first frame.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: frames spread over the video, or those of the first sliding window; None for
                none.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        state = SelsaState(settings)
        if references is None:
            return state
        regions = self._regions_of(references, state)
        frames = self._supports(references, [own() for own in regions])
        if settings.slides:
            state.window = frames
        else:
            state.fixed = _joined(frames)
            if references.numbers:
                state.known.keep(references, regions)
        return state

    @torch.no_grad()
    def hidden(self, frame: Frames, state: SelsaState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, which belong to the support too.

        Args:
            frame: of N = 1.
            state: of its video.
            references: new frames of a sliding window, none with adaptive references.
        """
        own, support = self._own_and_support(frame, state, references)
        return Hidden(self.head.attend_from(own.first, support), own.boxes)

    def support_of(self, frames: Frames, state: SelsaState) -> list[FrameSupport]:
        """Every frame as support."""
        return [self._own(frame, state) for frame in single_frames(frames)]

    def _supports(self, frames: Frames, regions: Sequence[Regions]) -> list[FrameSupport]:
        numbers: Sequence[int | None] = frames.numbers or [None] * len(frames)
        return [self._support(r, n) for r, n in zip(regions, numbers, strict=True)]

    def _support(self, regions: Regions, number: int | None) -> FrameSupport:
        projected = self.head.projected(self.head.support_rows_from(regions.first))
        return FrameSupport(regions.boxes, regions.first, projected, regions.maps, number)

    def _regions_of(self, frames: Frames, state: SelsaState) -> list[Callable[[], Regions]]:
        slides = state.settings.slides
        return self.detector.regions(frames, state.settings, keep_maps=slides)

    def _own_and_support(
        self, frame: Frames, state: SelsaState, references: Frames | None
    ) -> tuple[FrameSupport, list[Projected]]:
        """The frame itself, and the keys and values that it attends to."""
        if state.settings.slides and state.window:
            own, window = self._slide(frame, state, references)
            return own, _joined(window)
        own = self._own(frame, state)
        if not state.fixed:
            return own, own.projected
        return own, [join_projected(pair) for pair in zip(state.fixed, own.projected, strict=True)]

    def _own(self, frame: Frames, state: SelsaState) -> FrameSupport:
        number = frame.numbers[0] if frame.numbers else None
        return self._support(self._own_regions(frame, state), number)

    def _slide(
        self, frame: Frames, state: SelsaState, references: Frames | None
    ) -> tuple[FrameSupport, list[FrameSupport]]:
        """Moves the window on; the current frame, and the window with it in the centre.

        Official behaviour: the frame stays there, so with a stride above 1 it replaces
        the frame that the window was made of.
        """
        settings = state.settings
        if references is not None:
            new = self.support_of(references, state)
            state.window = [*state.window, *new][len(new) :]
        centre = state.window[settings.frames_before]
        is_known = frame.numbers and centre.number == frame.numbers[0]
        own = centre if is_known else self._own(frame, state)
        window = list(state.window)
        window[settings.frames_before] = own
        if settings.centre == "official":
            state.window = window
        return own, window

    # ------------------------------------------------------------------- training

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame, whose regions attend to those of the references.

        One pass of the backbone for all frames. The key frame's proposals follow the
        limits of training, those of the references the limits of testing.
        """
        assert clip.references is not None, "SELSA trains on references"
        maps = self.detector.maps(torch.cat([clip.key.images, clip.references.images]))
        key, others = [m[:1] for m in maps], [m[1:] for m in maps]
        examples, losses = self.detector.region_examples(
            key, clip.key.sizes[0], clip.truth, generator
        )
        regions = self.reference_regions(others, clip.references)
        support = self.head.support(self.head.pool(others, regions))
        x = self.head.attend(self.head.pool(key, [examples.boxes]), support)
        return losses | self.head.losses(x, examples, clip.truth)

    def reference_regions(self, maps: list[Tensor], references: Frames) -> list[Tensor]:
        """Boxes of every reference that the key frame's regions attend to."""
        return [p.boxes for p in self.detector.propose(maps, references.sizes)]


def _joined(frames: list[FrameSupport]) -> list[Projected]:
    return [join_projected(parts) for parts in zip(*(f.projected for f in frames), strict=True)]
