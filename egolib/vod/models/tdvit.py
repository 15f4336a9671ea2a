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
from egolib.nn.graphs import Captured
from egolib.nn.swin import Swin, SwinBlock
from egolib.vod.config.infer import InferConfig, QueueConfig
from egolib.vod.config.model import ModelConfig, TemporalConfig
from egolib.vod.models.ahead import Hidden, KnownRegions, Regions
from egolib.vod.models.frames import Clip, Frames, Losses
from egolib.vod.models.heads import RegionHead
from egolib.vod.models.method import RegionMethod

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
        """Maps (B, H, W, C) after the block, attending to the reference's windows."""
        return self.finish(x + self.drop_path(self._attend(self.norm1(x), reference)))

    def _attend(self, x: Tensor, reference: WindowPair) -> Tensor:
        layout, attention = self.layout(x), self.attention
        windows, bias = layout.split(x), attention.window_bias(layout)
        key, value = (part.expand(len(x), -1, -1, -1) for part in reference)
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

    def together(self) -> int:
        """How many of the next frames have the same reference; the first frame has none."""
        if not self.queue:
            return 1
        used_up = self.reference is None or self.served >= self.dilation
        return self.dilation if used_up else self.dilation - self.served

    def current(self, block: TemporalBlock, frames: int = 1) -> WindowPair | None:
        """The reference of the next frames, at most ``together`` of them; None at the first
        frame of a video."""
        if not self.queue:
            return None
        if self.reference is None or self.served >= self.dilation:
            self.reference = block.project_reference(self._draw())
            self.served = 0
        self.served += frames
        return self.reference

    def remember(self, x: Tensor) -> None:
        """Appends inputs (B, H, W, C) of frames."""
        for i in range(len(x)):
            self.queue.append(x[i : i + 1])
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
        self.captured = Captured(self._pass, shapes=8)
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
        """Maps of frames (B, 3, H, W) in the order of the video; the memory moves on.

        Frames that have the same references are computed at once.

        Args:
            images: (B, 3, H, W).
            memory: of their video.
        """
        parts = []
        while len(images):
            count = min([len(images), *(known.together() for known in memory.values())])
            parts.append(self._together(images[:count], memory))
            images = images[count:]
        if len(parts) == 1:
            return parts[0]
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def _together(self, images: Tensor, memory: Memory) -> list[Tensor]:
        """Maps of frames (B, 3, H, W) that have the same references."""
        blocks: list[TemporalBlock] = [self.stages[s].blocks[b] for s, b in memory]  # type: ignore
        count = len(images)
        pairs = [known.current(b, count) for b, known in zip(blocks, memory.values(), strict=True)]
        given = [part for pair in pairs if pair is not None for part in pair]
        maps, inputs = self.captured(images, *given)
        for known, x in zip(memory.values(), inputs, strict=True):
            known.remember(x)
        return maps  # type: ignore[no-any-return]

    def _pass(self, images: Tensor, *given: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Maps, and what comes into the temporal blocks, which attend to keys and values that
        are given for all of them or for none."""
        maps: list[Tensor] = []
        inputs: list[Tensor] = []
        x = self.patches(images)
        for s, stage in enumerate(self.stages):
            for b, block in enumerate(stage.blocks):  # type: ignore[arg-type]
                if self.is_temporal(s, b):
                    place = 2 * len(inputs)
                    inputs.append(x)
                    if given:
                        x = block.with_reference(x, given[place : place + 2])
                        continue
                x = block(x)
            x = self._finish_stage(s, x, maps)
        return maps, inputs

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
        maps = self.backbone.online(frames.images, state.memory)
        return self.detector.regions(frames, state.settings, maps=self.detector.neck(maps))

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
