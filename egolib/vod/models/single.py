"""Single-frame detectors as video detectors: they look at no other frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.ahead import FoundAhead, Hidden, KnownRegions, Ready
from egolib.vod.models.c4 import C4Head
from egolib.vod.models.fcos import FcosDetector
from egolib.vod.models.frames import Clip, Frames, Losses
from egolib.vod.models.heads import RegionHead
from egolib.vod.models.method import RegionMethod


def single_frame(config: ModelConfig) -> SingleFrame | DenseFrame:
    """The frame detector that the settings name."""
    return DenseFrame(config) if config.detector == "fcos" else SingleFrame(config)


@dataclass
class SingleState:
    """Settings of testing, and regions of frames that were computed before their turn."""

    settings: InferConfig
    known: KnownRegions = field(default_factory=KnownRegions)


class SingleFrame(RegionMethod[RegionHead]):
    """A detector on regions alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, C4Head if config.detector == "c4" else RegionHead)

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> SingleState:
        """Nothing to remember but the settings.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: not used.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        return SingleState(settings)

    @torch.no_grad()
    def hidden(self, frame: Frames, state: SingleState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, ready for prediction.

        Args:
            frame: one prepared frame (N = 1).
            state: of its video.
            references: not used.
        """
        own = self._own_regions(frame, state)
        return Hidden(self.head.hidden_from(own.first), own.boxes)

    @torch.no_grad()
    def detect(self, frames: Frames, settings: InferConfig) -> list[Found]:
        """Detections in several frames at once."""
        return self.detector.detect(self.detector.maps(frames.images), frames, settings)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame."""
        maps = self.detector.maps(clip.key.images)
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)


class DenseFrame(nn.Module):
    """A detector on every location of a pyramid alone."""

    waits = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.detector = FcosDetector(config)

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> SingleState:
        """Nothing to remember but the settings.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: not used.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        return SingleState(settings)

    def look_ahead(self, frames: Frames, state: SingleState) -> None:
        """Nothing: ``steps`` computes a batch as a whole.

        Args:
            frames: not used.
            state: not used.
        """

    @torch.no_grad()
    def step(self, frame: Frames, state: SingleState, references: Frames | None = None) -> Found:
        """Detections in one frame.

        Args:
            frame: one prepared frame (N = 1).
            state: of its video.
            references: not used.
        """
        return self.steps(frame, state).get()[0]

    @torch.no_grad()
    def steps(
        self, frames: Frames, state: SingleState, others: Sequence[Any] = ()
    ) -> FoundAhead | Ready:
        """Detections in several frames of one video.

        Args:
            frames: of one video.
            state: of their video.
            others: not used.
        """
        return self.detector.detections(frames, state.settings)

    @torch.no_grad()
    def detect(self, frames: Frames, settings: InferConfig) -> list[Found]:
        """Detections in several frames at once."""
        return self.detector.detect(self.detector.maps(frames.images), frames, settings)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame."""
        maps = self.detector.maps(clip.key.images)
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)
