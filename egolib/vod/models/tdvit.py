"""TDViT: some blocks of a Swin transformer attend to the map of an earlier frame.

H, W rows and columns of tokens; C channels; n windows; T tokens of a window; D frames
that a reference serves (the dilation).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from egolib.nn.config import SwinConfig
from egolib.nn.swin import Swin, SwinBlock
from egolib.vod.config.infer import InferConfig, QueueConfig
from egolib.vod.config.model import ModelConfig, TemporalConfig
from egolib.vod.models.ahead import Hidden, KnownRegions, Regions
from egolib.vod.models.detector import RegionMethod
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.heads import RegionHead

WindowPair = tuple[Tensor, Tensor]  # keys and values, (1, n, T, C) each


class TemporalBlock(SwinBlock):
    """A Swin block that can take keys and values from another map; no further parameters."""

    joint = False

    def project_reference(self, reference: Tensor) -> WindowPair:
        """Keys and values of a map (1, H, W, C) as it would enter this block."""
        windows = self.layout(reference).split(self.norm1(reference))
        _, key, value = self._qkv(windows)
        return key, value

    def with_reference(self, x: Tensor, reference: WindowPair) -> Tensor:
        """A map (1, H, W, C) after the block, attending to the reference's windows."""
        return self.finish(x + self.drop_path(self._attend(self.norm1(x), reference)))

    def _attend(self, x: Tensor, reference: WindowPair) -> Tensor:
        layout, attention = self.layout(x), self.attention
        windows, bias = layout.split(x), attention.window_bias(layout)
        key, value = reference
        if self.joint:
            query, own_key, own_value = self._qkv(windows)
            key, value = torch.cat([own_key, key], 2), torch.cat([own_value, value], 2)
            bias = torch.cat([bias, bias], dim=-1)
        else:
            weight, offset = attention.qkv.weight, attention.qkv.bias
            channels = x.shape[-1]
            query = nn.functional.linear(windows, weight[:channels], offset[:channels])
        return layout.join(attention.out(attention.attend(query, key, value, bias)))

    def _qkv(self, windows: Tensor) -> tuple[Tensor, ...]:
        joined: Tensor = self.attention.qkv(windows)
        return joined.chunk(3, dim=-1)


@dataclass
class BlockMemory:
    """Earlier inputs of one temporal block.

    Args:
        dilation: inputs kept, and frames that a reference serves.
        reference: keys and values of the current one.
        served: frames that it has served.
    """

    dilation: int
    policy: str
    generator: torch.Generator
    queue: deque[Tensor] = field(default_factory=deque)
    reference: WindowPair | None = None
    served: int = 0

    def current(self, block: TemporalBlock) -> WindowPair | None:
        """The reference of this frame; None at the first frame of a video."""
        if not self.queue:
            return None
        if self.reference is None or self.served >= self.dilation:
            self.reference = block.project_reference(self._draw())
            self.served = 0
        self.served += 1
        return self.reference

    def remember(self, x: Tensor) -> None:
        """Appends this frame's input (1, H, W, C)."""
        self.queue.append(x)
        if len(self.queue) > self.dilation:
            self.queue.popleft()

    def _draw(self) -> Tensor:
        if self.policy == "earliest":
            return self.queue[0]
        if self.policy == "norm":
            return max(self.queue, key=lambda x: float(x.norm()))
        stacked = torch.cat(list(self.queue))  # (length, H, W, C)
        _, height, width, channels = stacked.shape
        if self.policy == "patch_shuffle":  # every token from a random earlier frame
            chosen = self._random(len(stacked), (1, height, width, 1))
        else:  # channel_shuffle: every channel from a random earlier frame
            chosen = self._random(len(stacked), (1, 1, 1, channels))
        return stacked.gather(0, chosen.to(stacked.device).expand(1, height, width, channels))

    def _random(self, high: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)


Memory = dict[tuple[int, int], BlockMemory]  # by (stage, block)


@dataclass
class TdVitState:
    """Settings of testing, the memories of a video, and regions computed before their turn."""

    settings: InferConfig
    memory: Memory
    known: KnownRegions = field(default_factory=KnownRegions)


class TemporalSwin(Swin):
    """Swin whose layout names the temporal blocks (Swin weights load unchanged)."""

    def __init__(self, config: SwinConfig, temporal: TemporalConfig) -> None:
        super().__init__(config, TemporalBlock)
        self.temporal = temporal
        if tuple(map(len, temporal.layout)) != tuple(config.depths):
            raise ValueError(f"layout {temporal.layout} does not fit depths {config.depths}")
        for block in self._blocks():
            block.joint = temporal.attention == "joint"

    def _blocks(self) -> list[TemporalBlock]:
        return [b for stage in self.stages for b in stage.blocks]  # type: ignore

    def is_temporal(self, stage: int, block: int) -> bool:
        """Whether a block attends to earlier frames."""
        return self.temporal.layout[stage][block] == "t"

    def new_memory(self, queue: QueueConfig, generator: torch.Generator) -> Memory:
        """Empty memories of all temporal blocks."""
        return {
            (s, b): BlockMemory(queue.dilations[s], queue.policy, generator)
            for s, layout in enumerate(self.temporal.layout)
            for b in range(len(layout))
            if self.is_temporal(s, b)
        }

    def online(self, images: Tensor, memory: Memory) -> list[Tensor]:
        """Maps of one frame (1, 3, H, W); the memory moves on."""
        maps: list[Tensor] = []
        x = self.patches(images)
        for s, stage in enumerate(self.stages):
            for b, block in enumerate(stage.blocks):  # type: ignore[arg-type]
                known = memory.get((s, b))
                pair = known.current(block) if known else None
                if known:
                    known.remember(x)
                x = block(x) if pair is None else block.with_reference(x, pair)
            x = self._finish_stage(s, x, maps)
        return maps

    def with_references(self, image: Tensor, references: Tensor) -> list[Tensor]:
        """Maps of a training frame (1, 3, H, W) with one reference (S, 3, H, W) a stage.

        Reference s passes the stages up to s as single frames do, without gradient; the
        temporal blocks of stage s see the inputs that it gives them.
        """
        with torch.no_grad():
            inputs = self._reference_inputs(references)
        maps: list[Tensor] = []
        x = self.patches(image)
        for s, stage in enumerate(self.stages):
            for b, block in enumerate(stage.blocks):  # type: ignore[arg-type]
                if (s, b) in inputs:
                    pair = block.project_reference(inputs[s, b])
                    x = block.with_reference(x, pair)
                else:
                    x = block(x)
            x = self._finish_stage(s, x, maps)
        return maps

    def _reference_inputs(self, references: Tensor) -> dict[tuple[int, int], Tensor]:
        """Inputs (1, H, W, C) of every temporal block of stage s in reference s."""
        inputs: dict[tuple[int, int], Tensor] = {}
        x = self.patches(references)
        for s, stage in enumerate(self.stages):
            for b, block in enumerate(stage.blocks):  # type: ignore[arg-type]
                if self.is_temporal(s, b):
                    inputs[s, b] = x[:1]
                x = block(x)
            if stage.merge is not None:
                x = stage.merge(x[1:])  # type: ignore[operator]
        return inputs

    def _finish_stage(self, stage: int, x: Tensor, maps: list[Tensor]) -> Tensor:
        maps.append(self.output(stage, x))
        merge = self.stages[stage].merge
        merged: Tensor = x if merge is None else merge(x)  # type: ignore[operator]
        return merged


class TdVit(RegionMethod[RegionHead]):
    """A detector on a temporal transformer: online, a frame costs what a single one does."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, RegionHead, TemporalSwin(config.swin, config.temporal))

    @property
    def backbone(self) -> TemporalSwin:
        """The temporal transformer."""
        return self.detector.backbone  # type: ignore[return-value]

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> TdVitState:
        """Empty memories.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: not used: the queues fill as the video goes.
            seed: of the generator of the shuffling policies.
            number: not used.
            previous: not used: every video has memories of its own.
        """
        generator = torch.Generator().manual_seed(seed)
        return TdVitState(settings, self.backbone.new_memory(settings.temporal, generator))

    def _regions_of(self, frames: Frames, state: TdVitState) -> list[Callable[[], Regions]]:
        maps = [self.backbone.online(f.images, state.memory) for f in single_frames(frames)]
        neck = self.detector.neck([torch.cat(level) for level in zip(*maps, strict=True)])
        return self.detector.regions(frames, state.settings, maps=neck)

    @torch.no_grad()
    def hidden(self, frame: Frames, state: TdVitState, references: Frames | None = None) -> Hidden:
        """Regions of one frame; frames must come in the order of the video.

        Args:
            frame: one prepared frame (N = 1).
            state: of the frame's video; it moves on.
            references: not used.
        """
        own = self._own_regions(frame, state)
        return Hidden(self.head.hidden_from(own.first), own.boxes)

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame; the references are one for each stage."""
        assert clip.references is not None, "TDViT trains on one reference a stage"
        backbone_maps = self.backbone.with_references(clip.key.images, clip.references.images)
        maps = self.detector.neck(backbone_maps)
        return self.detector.losses(maps, clip.key.sizes[0], clip.truth, generator)
