"""MEGA: local window, long-range memory and global memory (Chen et al., CVPR 2020).

P proposals of a frame; A "advanced" ones, its best; R rows; D width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from egolib.nn.roi import Found
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import MegaConfig, ModelConfig
from egolib.vod.models.ahead import Hidden, KnownRegions
from egolib.vod.models.c4 import C4Head
from egolib.vod.models.frames import Clip, Frames, Losses, single_frames
from egolib.vod.models.method import RegionMethod
from egolib.vod.models.relation import Relation

REMEMBERED = 256  # frames that may still come: each is a neighbour once and distant once


@dataclass(frozen=True)
class Rows:
    """Regions: boxes (R, 4) and features (R, D)."""

    boxes: Tensor
    features: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def top(self, number: int) -> Rows:
        """The first ``number``."""
        return Rows(self.boxes[:number], self.features[:number])

    def but(self, number: int) -> Rows:
        """All but the first ``number``."""
        return Rows(self.boxes[number:], self.features[number:])

    def with_features(self, features: Tensor) -> Rows:
        """The same regions with other features."""
        return Rows(self.boxes, features)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Regions of several frames, one after the other."""
    return Rows(torch.cat([p.boxes for p in parts]), torch.cat([p.features for p in parts]))


@dataclass
class MegaState:
    """Memories of a video.

    Args:
        settings: of testing.
        window: the local window, all proposals of every frame, oldest first.
        memory: for every local stage, rows of frames that left the window's start.
        distant: features of the global memory's frames.
        known: regions of frames that were computed before their turn.
    """

    settings: InferConfig
    window: deque[Rows]
    memory: list[deque[Rows]]
    distant: deque[Tensor] = field(default_factory=deque)
    known: KnownRegions = field(default_factory=lambda: KnownRegions(REMEMBERED))


class MegaHead(C4Head):
    """The C4 head with local and global relations between regions."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        super().__init__(channels, config)
        mega, width = config.mega, config.head.width
        self.mega: MegaConfig = mega
        while len(self.layers) < mega.local_stages:
            self.layers.append(nn.Linear(width, width))
        self.local = nn.ModuleList(
            Relation(width, mega.groups, mega.embedding, geometry=True)
            for _ in range(mega.local_stages)
        )
        self.whole = nn.ModuleList(
            Relation(width, mega.groups, mega.embedding, geometry=False)
            for _ in range(mega.global_stages)
        )

    def rows(self, pooled: Tensor, boxes: Tensor) -> Rows:
        """Regions with features after the first layer, from pooled features."""
        return Rows(boxes, F.relu(self.layers[0](pooled)))

    def gather_global(self, features: Tensor, distant: Tensor | None, stage: int = 0) -> Tensor:
        """Features (R, D) that have added what they gather from the global memory.

        Args:
            features: (R, D) of the regions that gather.
            distant: (M, D) of the global memory's regions; None adds nothing.
            stage: which global relation, from 0.
        """
        if distant is None:
            return features
        gathered: Tensor = self.whole[stage](features, distant)
        return features + gathered

    def local_stage(self, stage: int, queries: Rows, support: Rows) -> Rows:
        """Queries that have gathered from the support, through the next layer.

        Args:
            stage: which local relation, from 0.
            queries: the regions that gather.
            support: the regions that they gather from.
        """
        x = queries.features + self.local[stage](
            queries.features, support.features, queries.boxes, support.boxes
        )
        last = stage == self.mega.local_stages - 1
        return queries.with_features(x if last else F.relu(self.layers[stage + 1](x)))

    def gather(
        self,
        key: Rows,
        references: Rows,
        advanced: Rows,
        memory: Sequence[Rows | None],
        distant: Tensor | None,
    ) -> tuple[Tensor, list[Rows]]:
        """Hidden features of the key frame's regions.

        Args:
            key: regions of the key frame, after the global relation.
            references: of all frames of the window, after it.
            advanced: the best of those.
            memory: support from earlier frames, for every stage.
            distant: features of the global memory.

        Returns:
            (R, D), and the support of every stage without memory.
        """
        queries, support, supports = join_rows([key, advanced]), references, []
        for stage in range(self.mega.local_stages):
            if stage == self.mega.local_stages - 1:
                queries = queries.top(len(key))
            supports.append(support)
            known = memory[stage]
            everything = support if known is None else join_rows([support, known])
            queries = self.local_stage(stage, queries, everything)
            support = queries.but(len(key))
        x = queries.features
        for stage in range(1, self.mega.global_stages):
            x = self.gather_global(x, distant, stage)
        return x, supports


class Mega(RegionMethod[MegaHead]):
    """A detector whose regions gather from nearby, remembered and far frames.

    A frame is computed once: its proposals and their first features serve it as a
    member of the window, as the key frame and as memory. (The official code computes
    the last backbone stage and the key frame's features a second time.)
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, MegaHead)

    @property
    def mega(self) -> MegaConfig:
        """The relations, and how they are trained."""
        return self.config.mega

    # ------------------------------------------------------------------ inference

    def start_video(
        self,
        settings: InferConfig,
        references: Frames | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        previous: Any = None,
    ) -> MegaState:
        """Empty memories. MEGA has no references of this kind: see ``step``.

        Args:
            settings: what can be set in testing; the state keeps it.
            references: not used: ``step`` takes them.
            seed: not used: nothing is random.
            number: not used.
            previous: not used: every video has memories of its own.
        """
        rules = settings.mega
        length = rules.memory if rules.memory_limit == "size" else rules.window
        return MegaState(
            settings,
            window=deque(maxlen=rules.window),
            memory=[deque(maxlen=length) for _ in range(self.mega.local_stages)],
            distant=deque(maxlen=rules.global_size),
        )

    @torch.no_grad()
    def step(
        self,
        frame: Frames,
        state: MegaState,
        references: Frames | None = None,
        distant: Frames | None = None,
    ) -> Found:
        """Detections in one frame.

        Args:
            frame: of N = 1.
            state: of its video.
            references: as ``hidden`` takes them.
            distant: as ``hidden`` takes them.
        """
        hidden = self.hidden(frame, state, references, distant)
        return self.detector.detections([hidden], frame, state.settings).get()[0]

    @torch.no_grad()
    def hidden(
        self,
        frame: Frames,
        state: MegaState,
        references: Frames | None = None,
        distant: Frames | None = None,
    ) -> Hidden:
        """Regions of one frame, ready for prediction.

        Args:
            frame: of N = 1.
            state: of its video.
            references: frames that enter the local window: those after the first frame
                that fill it, then one a step (the last frame again near the end).
            distant: frames that enter the global memory: ``global_size`` of them with the
                first frame, then one a step.
        """
        settings = state.settings
        if not state.window:
            first = self._frame_rows(frame, state)
            state.window.extend([first] * (settings.mega.position + 1))
        for new in [] if references is None else single_frames(references):
            state.window.append(self._frame_rows(new, state))
        for new in [] if distant is None else single_frames(distant):
            rows = self._frame_rows(new, state)
            state.distant.append(rows.features[: self._proposals(settings)])
        position = min(settings.mega.position, len(state.window) - 1)
        key = state.window[position]
        return Hidden(self._gather(key, state), key.boxes)

    def _proposals(self, settings: InferConfig) -> int:
        own = settings.mega.proposals
        return self.mega.proposals if own is None else own

    def _frame_rows(self, frame: Frames, state: MegaState) -> Rows:
        """All proposals of a frame, best first, with their first features."""
        own = self._own_regions(frame, state)
        return Rows(own.boxes, F.relu(own.first))

    def _gather(self, key: Rows, state: MegaState) -> Tensor:
        """Hidden features (R, D) of the key frame; the memories move on."""
        distant = torch.cat(list(state.distant)) if state.distant else None
        proposals, own = self._proposals(state.settings), state.settings.mega.advanced
        best = self.mega.advanced if own is None else own
        window = [rows.top(proposals) for rows in state.window]
        references = join_rows(window)
        features = self.head.gather_global(references.features, distant)
        references = references.with_features(features)
        advanced = _advanced(references, [len(rows) for rows in window], best)
        key = key.with_features(self.head.gather_global(key.features, distant))
        memory = [join_rows(list(kept)) if kept else None for kept in state.memory]
        x, supports = self.head.gather(key, references, advanced, memory, distant)
        for stage, (kept, support) in enumerate(zip(state.memory, supports, strict=True)):
            kept.append(support.top(best if stage else proposals))
        return x

    # ------------------------------------------------------------------- training

    def losses(self, clip: Clip, generator: torch.Generator | None = None) -> Losses:
        """Losses of the key frame with local, remembered and global references.

        The key frame is a member of the window too. The memory takes no gradient.
        """
        detector, head = self.detector, self.head
        maps = detector.maps(clip.key.images)
        examples, losses = detector.region_examples(maps, clip.key.sizes[0], clip.truth, generator)
        distant = self._distant_features(clip.distant)
        memory = self._training_memory(clip.memory, distant)
        key = head.rows(head.pool(maps, [examples.boxes]), examples.boxes)
        key = key.with_features(head.gather_global(key.features, distant))
        window = [self._reference_rows(maps, clip.key)]
        if clip.references is not None:
            local = detector.maps(clip.references.images)
            window += self._rows_of_all(local, clip.references)
        references, advanced = self._with_global(window, distant)
        x, _ = head.gather(key, references, advanced, memory, distant)
        return losses | head.losses(x, examples, clip.truth)

    def _reference_rows(self, maps: Sequence[Tensor], frame: Frames) -> Rows:
        boxes = self.detector.propose(maps, frame.sizes)[0].boxes[: self.mega.proposals]
        return self.head.rows(self.head.pool(maps, [boxes]), boxes)

    def _rows_of_all(self, maps: Sequence[Tensor], frames: Frames) -> list[Rows]:
        return [
            self._reference_rows([m[i : i + 1] for m in maps], frame)
            for i, frame in enumerate(single_frames(frames))
        ]

    def _with_global(self, frames: list[Rows], distant: Tensor | None) -> tuple[Rows, Rows]:
        """All rows of several frames after the global relation, and the best of each."""
        rows = join_rows(frames)
        rows = rows.with_features(self.head.gather_global(rows.features, distant))
        return rows, _advanced(rows, [len(f) for f in frames], self.mega.advanced)

    def _distant_features(self, frames: Frames | None) -> Tensor | None:
        if frames is None:
            return None
        maps = self.detector.maps(frames.images)
        return join_rows(self._rows_of_all(maps, frames)).features

    @torch.no_grad()
    def _training_memory(self, frames: Frames | None, distant: Tensor | None) -> list[Rows | None]:
        """Support from the memory frames for every stage, each made of the one before."""
        stages = self.mega.local_stages
        if frames is None:
            return [None] * stages
        rows = self._rows_of_all(self.detector.maps(frames.images), frames)
        support, queries = self._with_global(rows, distant)
        memory: list[Rows | None] = [support]
        for stage in range(stages - 1):
            queries = self.head.local_stage(stage, queries, support)
            support = queries
            memory.append(support)
        return memory


def _advanced(rows: Rows, counts: Sequence[int], best: int) -> Rows:
    """The ``best`` rows of every frame, where frame i has ``counts[i]`` rows."""
    sizes = list(counts)
    parts = (torch.split(x, sizes) for x in (rows.boxes, rows.features))
    frames = zip(*parts, strict=True)
    return join_rows([Rows(boxes, features).top(best) for boxes, features in frames])
