"""What methods on regions share: the two halves of a frame, and looking ahead.

N frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from egolib.nn.resnet import ResNet
from egolib.nn.roi import Found
from egolib.nn.swin import Swin
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.ahead import FoundAhead, Hidden, Ready, Regions
from egolib.vod.models.detector import RegionDetector
from egolib.vod.models.frames import Frames, single_frames
from egolib.vod.models.heads import RegionHead

Head = TypeVar("Head", bound=RegionHead)


class RegionMethod(nn.Module, Generic[Head]):
    """What methods on regions share: settings, detector, region head, and the two halves of a
    frame: its hidden features, which may depend on other frames, and its detections.

    Args:
        config: the network.
        head: class of its region head.
        backbone: replaces the one that the settings name.
    """

    def __init__(
        self, config: ModelConfig, head: type[Head], backbone: ResNet | Swin | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.detector = RegionDetector(config, head, backbone)

    @property
    def head(self) -> Head:
        """The region head."""
        return self.detector.head  # type: ignore[return-value]

    #: Whether a frame needs the detections of the one before, so that detections cannot wait.
    waits = False

    @torch.no_grad()
    def look_ahead(self, frames: Frames, state: Any) -> None:
        """Computes what frames that come next need of themselves alone.

        Args:
            frames: of the state's video, with numbers, in any order.
            state: of the video; it remembers what was computed until the frames' turn.
        """
        places = {number: i for i, number in enumerate(frames.numbers)}
        new = [i for number, i in places.items() if number not in state.known]
        if new and (len(frames) > 1 or frames.images.is_cuda):
            chosen = frames if len(new) == len(frames) else frames.some(new)
            state.known.keep(chosen, self._regions_of(chosen, state))

    def _regions_of(self, frames: Frames, state: Any) -> list[Callable[[], Regions]]:
        return self.detector.regions(frames, state.settings)

    def _own_regions(self, frame: Frames, state: Any) -> Regions:
        """Regions of a frame: known already, or computed now."""
        known: Regions | None = state.known.take(frame)
        return known or self._regions_of(frame, state)[0]()

    @torch.no_grad()
    def hidden(self, frame: Frames, state: Any, references: Frames | None = None) -> Hidden:
        """Regions of one frame, ready for prediction; ``state`` moves on.

        Args:
            frame: of N = 1.
            state: of its video.
            references: frames that a sliding window meets with this one.
        """
        raise NotImplementedError

    @torch.no_grad()
    def step(self, frame: Frames, state: Any, references: Frames | None = None) -> Found:
        """Detections in one frame.

        Args:
            frame: of N = 1.
            state: of its video; it moves on.
            references: frames that a sliding window meets with this one.
        """
        hidden = self.hidden(frame, state, references)
        return self.detector.detections([hidden], frame, state.settings).get()[0]

    @torch.no_grad()
    def steps(
        self, frames: Frames, state: Any, others: Sequence[dict[str, Frames | None]] = ()
    ) -> FoundAhead | Ready:
        """Detections in several frames, one after the other; they may be on their way.

        Args:
            frames: of one video, in the order of testing.
            state: of their video; it moves on.
            others: frames that come with each, by the names that ``step`` takes.
        """
        pairs = list(zip(single_frames(frames), others or [{}] * len(frames), strict=True))
        if self.waits:
            return Ready([self.step(frame, state, **other) for frame, other in pairs])
        hidden = [self.hidden(frame, state, **other) for frame, other in pairs]
        return self.detector.detections(hidden, frames, state.settings)
