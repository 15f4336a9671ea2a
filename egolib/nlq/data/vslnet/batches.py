"""Single questions and padded batches of them, as VSLNet reads them.

Shapes: B batch, T padded cells, n cells of one clip, V video width, L tokens, W token width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.dataset import pad
from egolib.nlq.data.vslnet.cells import highlight_labels


@dataclass
class SpanItem:
    """One question.

    Args:
        query: its record.
        video: (n, V) float32.
        tokens: (L, W) float32.
        token_mask: (L,) bool.
        units: into how many cells the labels cut the clip.
        duration_sec: length of the clip on the grid.
        cells: first and last cell of the answer; None without one.
    """

    query: Query
    video: np.ndarray
    tokens: np.ndarray
    token_mask: np.ndarray
    units: int
    duration_sec: float
    cells: tuple[int, int] | None = None


@dataclass
class SpanTargets:
    """What the network should say.

    Args:
        start: (B,) int64, first cell of the answer.
        end: (B,) int64, last cell of the answer, inclusive.
        highlight: (B, T) float32, 1 in and near the answer.
    """

    start: Tensor
    end: Tensor
    highlight: Tensor


@dataclass
class SpanBatch:
    """Padded items.

    Args:
        video: (B, T, V) float32, zero in the padding.
        video_mask: (B, T) bool.
        tokens: (B, L, W) float32.
        token_mask: (B, L) bool.
        targets: None where they were not asked for.
        units: into how many cells the labels cut each clip.
        durations_sec: length of each clip on the grid.
        queries: record of each question.
    """

    video: Tensor
    video_mask: Tensor
    tokens: Tensor
    token_mask: Tensor
    targets: SpanTargets | None = None
    units: list[int] = field(default_factory=list)
    durations_sec: list[float] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.video)

    def require_targets(self) -> SpanTargets:
        """The targets; raises ValueError without any."""
        if self.targets is None:
            raise ValueError("the batch was made without targets")
        return self.targets

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SpanBatch:
        """The batch on a device."""
        return self._map(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self, device: Any = None) -> SpanBatch:
        """The batch in page-locked memory."""
        return self._map(lambda x: x.pin_memory())

    def _map(self, change: Callable[[Tensor], Tensor]) -> SpanBatch:
        targets = self.targets
        if targets is not None:
            targets = SpanTargets(*map(change, (targets.start, targets.end, targets.highlight)))
        return replace(
            self,
            video=change(self.video),
            video_mask=change(self.video_mask),
            tokens=change(self.tokens),
            token_mask=change(self.token_mask),
            targets=targets,
        )


def collate(
    items: Sequence[SpanItem], *, targets: bool = True, extension: float = 0.1
) -> SpanBatch:
    """Pads items into a batch as long as its longest clip.

    Args:
        items: questions with equally many token rows.
        targets: make them; every item then needs an answer inside its features.
        extension: of the highlight, see ``cells.highlight_stretch``.

    Raises:
        EgolibError: an answer is absent or lies outside its features.
    """
    video, video_mask = pad([item.video for item in items])
    return SpanBatch(
        video=video,
        video_mask=video_mask,
        tokens=torch.from_numpy(np.stack([item.tokens for item in items])),
        token_mask=torch.from_numpy(np.stack([item.token_mask for item in items])),
        targets=_targets(items, video.shape[1], extension) if targets else None,
        units=[item.units for item in items],
        durations_sec=[item.duration_sec for item in items],
        queries=[item.query for item in items],
    )


def _targets(items: Sequence[SpanItem], padded: int, extension: float) -> SpanTargets:
    cells = [require_answer(item) for item in items]
    labels = [
        highlight_labels(start, end, len(item.video), padded, extension)
        for item, (start, end) in zip(items, cells, strict=True)
    ]
    start, end = torch.tensor(cells).unbind(1)
    return SpanTargets(start, end, torch.from_numpy(np.stack(labels)))


def require_answer(item: SpanItem) -> tuple[int, int]:
    """The cells of an item's answer.

    Official behaviour: an answer behind the features costs 1e30 where the batch is
    padded that far, which ends the training; elsewhere it is an index error.

    Raises:
        EgolibError: there is none, or it lies outside the features.
    """
    if item.cells is None:
        raise EgolibError("a question without answer", record=item.query.query_id)
    if item.cells[1] >= len(item.video):
        raise EgolibError(
            f"the answer ends in cell {item.cells[1]}, the clip has {len(item.video)} features",
            record=item.query.query_id,
            remedy="label_length: features takes the features' own length",
        )
    return item.cells
