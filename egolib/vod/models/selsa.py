"""SELSA: regions attend to regions of other frames (Wu et al., ICCV 2019; mmtracking)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.detector import RegionMethod
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import Projected, SupportHead, join_projected


@dataclass
class FrameSupport:
    """One frame: its maps, its proposals, and what they are to other frames' regions."""

    maps: list[Tensor]
    boxes: Tensor
    projected: list[Projected]
    number: int | None = None


@dataclass
class SelsaState:
    """Support of a video.

    Args:
        settings: of testing.
        fixed: keys and values of all adaptive references, for every layer.
        window: frames of a sliding window.
        known: reference frames by number, until their own turn comes.
    """

    settings: InferConfig
    fixed: list[Projected] = field(default_factory=list)
    window: list[FrameSupport] = field(default_factory=list)
    known: dict[int, FrameSupport] = field(default_factory=dict)


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
        frames = [self.support_of(frame, settings) for frame in single_frames(references)]
        if settings.slides:
            state.window = frames
        else:
            state.fixed = _joined(frames)
            state.known = {f.number: f for f in frames if f.number is not None}
        return state

    @torch.no_grad()
    def step(self, frame: Frames, state: SelsaState, references: Frames | None = None) -> Found:
        """Detections in one frame, whose own regions belong to the support too.

        Args:
            frame: of N = 1.
            state: of its video.
            references: new frames of a sliding window, none with adaptive references.
        """
        own, support = self._own_and_support(frame, state, references)
        x = self.head.attend(self.head.pool(own.maps, [own.boxes]), support)
        return self.head.detect(
            x, own.boxes, frame.sizes[0], frame.scales[0], state.settings.detections
        )

    def support_of(self, frame: Frames, settings: InferConfig) -> FrameSupport:
        """One frame as support."""
        maps = self.detector.maps(frame.images)
        boxes = self.detector.propose(maps, frame.sizes, settings.proposals)[0].boxes
        projected = self.head.support(self.head.pool(maps, [boxes]))
        return FrameSupport(maps, boxes, projected, frame.numbers[0] if frame.numbers else None)

    def _own_and_support(
        self, frame: Frames, state: SelsaState, references: Frames | None
    ) -> tuple[FrameSupport, list[Projected]]:
        """The frame itself, and the keys and values that it attends to."""
        if state.settings.slides and state.window:
            own, window = self._slide(frame, state, references)
            return own, _joined(window)
        known = state.known.pop(frame.numbers[0], None) if frame.numbers else None
        own = known or self.support_of(frame, state.settings)
        if not state.fixed:
            return own, own.projected
        return own, [join_projected(pair) for pair in zip(state.fixed, own.projected, strict=True)]

    def _slide(
        self, frame: Frames, state: SelsaState, references: Frames | None
    ) -> tuple[FrameSupport, list[FrameSupport]]:
        """Moves the window on; the current frame, and the window with it in the centre.

        Official behaviour: the frame stays there, so with a stride above 1 it replaces
        the frame that the window was made of.
        """
        settings = state.settings
        if references is not None:
            new = [self.support_of(f, settings) for f in single_frames(references)]
            state.window = [*state.window, *new][len(new) :]
        centre = state.window[settings.frames_before]
        is_known = frame.numbers and centre.number == frame.numbers[0]
        own = centre if is_known else self.support_of(frame, settings)
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
