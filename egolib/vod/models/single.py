"""Single-frame detectors as video detectors: they look at no other frame."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.c4 import C4Head
from egolib.vod.models.detector import RegionDetector
from egolib.vod.models.fcos import FcosDetector
from egolib.vod.models.frames import Clip, Frames, Losses
from egolib.vod.models.heads import RegionHead


def make_detector(config: ModelConfig) -> RegionDetector | FcosDetector:
    """The frame detector that the settings name."""
    if config.detector == "fcos":
        return FcosDetector(config)
    return RegionDetector(config, C4Head if config.detector == "c4" else RegionHead)


class SingleFrame(nn.Module):
    """A frame detector alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.detector = make_detector(config)

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> InferConfig:
        """Nothing to remember but the settings.

        Args:
            settings: what can be set in testing; they are the state.
            references: not used.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        return settings

    def step(self, frame: Frames, state: InferConfig, references: Frames | None = None) -> Found:
        """Detections in one frame.

        Args:
            frame: one prepared frame (N = 1).
            state: the settings, all that ``start_video`` returns.
            references: not used.
        """
        return self.detect(frame, state)[0]

    @torch.no_grad()
    def detect(self, frames: Frames, settings: InferConfig) -> list[Found]:
        """Detections in several frames at once."""
        return self.detector.detect(self.detector.maps(frames.images), frames, settings)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame."""
        maps = self.detector.maps(clip.key.images)
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)
