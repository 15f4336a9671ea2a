"""DFF: features of key frames move along the flow (Zhu et al., CVPR 2017).
FGFA: features of many frames are moved to the current one and averaged (ICCV 2017).

N frames; C channels; H, W rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn import init
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.models.ahead import Hidden
from egolib.vod.models.flow import FlowNetS, warp
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import RegionHead
from egolib.vod.models.method import RegionMethod


@dataclass
class MovedFrame:
    """A frame as other frames use it: its map (1, C, H, W) and its image for the flow."""

    features: Tensor
    image: Tensor
    number: int | None = None


@dataclass
class FlowState:
    """Settings of testing; the last key frame (DFF), or the sliding window (FGFA)."""

    settings: InferConfig
    frames: list[MovedFrame] = field(default_factory=list)
    count: int = 0


class FlowMethod(RegionMethod[RegionHead]):
    """A frame detector on one map, and a flow network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, RegionHead)
        self.motion = FlowNetS(config.flow)

    @torch.no_grad()
    def look_ahead(self, frames: Frames, state: FlowState) -> None:
        """Nothing: which frames pass the backbone depends on their order.

        Args:
            frames: not used.
            state: not used.
        """

    def _hidden(self, features: Tensor, frame: Frames, state: FlowState) -> Hidden:
        """Regions of one frame from its map (1, C, H, W)."""
        own = self.detector.regions(frame, state.settings, maps=[features])[0]()
        return Hidden(self.head.hidden_from(own.first), own.boxes)

    def moved_frame(self, frame: Frames) -> MovedFrame:
        """What other frames need of this one."""
        image = self.motion.prepare(frame.images, frame.sizes)
        features = self.detector.maps(frame.images)[0]
        return MovedFrame(features, image, frame.numbers[0] if frame.numbers else None)

    def move(self, features: Tensor, image: Tensor, to: Tensor) -> Tensor:
        """Features (N, C, H, W) of images, moved to where another image shows them.

        Args:
            features: (N, C, H, W).
            image: what they are of, prepared for the flow network, (N, 3, h, w).
            to: another image, prepared too, (1 or N, 3, h, w).
        """
        flow = self.motion(to.expand_as(image), image)
        return warp(features, flow, self.config.flow.grid)


class Dff(FlowMethod):
    """Only every ``key_interval``-th frame passes the backbone."""

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> FlowState:
        """No key frame yet.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: not used.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        return FlowState(settings)

    @torch.no_grad()
    def hidden(self, frame: Frames, state: FlowState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, ready for prediction.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; it moves on.
            references: not used.
        """
        return self._hidden(self.features(frame, state), frame, state)

    def features(self, frame: Frames, state: FlowState) -> Tensor:
        """The frame's map: its own, or the key frame's moved to it."""
        is_key = state.count % state.settings.key_interval == 0
        state.count += 1
        if is_key:
            state.frames = [self.moved_frame(frame)]
            return state.frames[0].features
        image = self.motion.prepare(frame.images, frame.sizes)
        key = state.frames[0]
        return self.move(key.features, key.image, image)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the current frame on features moved from its reference."""
        assert clip.references is not None, "DFF trains on one reference"
        reference = self.moved_frame(clip.references[:1])
        image = self.motion.prepare(clip.key.images, clip.key.sizes)
        maps = [self.move(reference.features, reference.image, image)]
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)


class Fgfa(FlowMethod):
    """Features of a sliding window, moved to the current frame and averaged with weights
    from the similarity of an embedding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels = config.neck_channels
        self.embed = nn.Conv2d(channels, channels, 3, padding=1)
        init.kaiming(self.embed)

    @torch.no_grad()
    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> FlowState:
        """The window that the first frame meets.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: frames of the window that the first frame meets; None for no window.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: no video depends on another.
        """
        state = FlowState(settings)
        if references is not None:
            for reference in single_frames(references):
                known = [f for f in state.frames if f.number is not None]
                same = [f for f in known if [f.number] == reference.numbers]
                state.frames.append(same[0] if same else self.moved_frame(reference))
        return state

    @torch.no_grad()
    def hidden(self, frame: Frames, state: FlowState, references: Frames | None = None) -> Hidden:
        """Regions of one frame, ready for prediction.

        Args:
            frame: of N = 1.
            state: of its video.
            references: frames that enter the window with this one.
        """
        return self._hidden(self.features(frame, state, references), frame, state)

    def features(self, frame: Frames, state: FlowState, references: Frames | None) -> Tensor:
        """The weighted mean (1, C, H, W) of the window's maps.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; its window moves on.
            references: frames that enter the window with this one; None for none.
        """
        if references is not None:
            new = [self.moved_frame(f) for f in single_frames(references)]
            state.frames = [*state.frames, *new][len(new) :]
        if not state.frames:
            return self.moved_frame(frame).features
        left = state.settings.frames_before
        centre = state.frames[left]
        is_known = frame.numbers and centre.number == frame.numbers[0]
        own = centre if is_known else self.moved_frame(frame)
        moved = [
            own.features if i == left else self.move(f.features, f.image, own.image)
            for i, f in enumerate(state.frames)
        ]
        return self.average(own.features, torch.cat(moved))

    def average(self, x: Tensor, moved: Tensor) -> Tensor:
        """Mean of maps (N, C, H, W), weighted place by place with the softmax over frames
        of their embedding's cosine similarity to that of x (1, C, H, W)."""
        own, others = F.normalize(self.embed(x)), F.normalize(self.embed(moved))
        weights = (own * others).sum(dim=1, keepdim=True).softmax(dim=0)  # (N, 1, H, W)
        return (weights * moved).sum(dim=0, keepdim=True)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the current frame on the mean of its references, moved to it."""
        assert clip.references is not None, "FGFA trains on references"
        images = torch.cat([clip.key.images, clip.references.images])
        features = self.detector.maps(images)[0]
        prepared = self.motion.prepare(images, [*clip.key.sizes, *clip.references.sizes])
        moved = self.move(features[1:], prepared[1:], prepared[:1])
        maps = [self.average(features[:1], moved)]
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)
