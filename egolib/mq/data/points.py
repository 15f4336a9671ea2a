"""Clips as ActionFormer sees them: features of their own length, moments on the feature grid.

B clips, n features of one, D their width, T padded positions, M moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from egolib.io.features import Store
from egolib.mq.config import DataConfig, ModelConfig
from egolib.mq.config.actionformer import GridConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.classes import ClassTable
from egolib.mq.data.clip_data import ClipData
from egolib.mq.data.rows import clip_features
from egolib.mq.models.actionformer import padded_length

Floats = NDArray[np.floating]
TRIALS = 200  # cuts that are tried until a moment is left


@dataclass(frozen=True)
class PointItem:
    """One clip, or one window of it.

    Args:
        clip: the clip.
        features: (n, D) float32.
        fps: features a second.
        first_feat: first feature of the window in the clip.
        moments: (M, 2) float64 in features of the window; None for inference.
        labels: (M,) int64, classes without the background: 0 is the first.
    """

    clip: Clip
    features: Floats
    fps: float
    first_feat: int = 0
    moments: Floats | None = None
    labels: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class PointBatch:
    """Items side by side.

    Args:
        features: (B, T, D), zero in the padding.
        mask: (B, T) bool.
        moments: (M, 2) float64 of each item, in features.
        labels: (M,) int64 of each item.
        items: what the rows are.
    """

    features: Tensor
    mask: Tensor
    moments: list[Tensor]
    labels: list[Tensor]
    items: Sequence[PointItem]

    def to(self, device: torch.device | str) -> PointBatch:
        """The same on another device."""
        return replace(
            self,
            features=self.features.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            moments=[m.to(device) for m in self.moments],
            labels=[label.to(device) for label in self.labels],
        )


class PointData(ClipData):
    """Clips with their features, and in training their moments.

    In training an item is a clip, cut at random; for inference it is a window of at most T
    features, the last one of a clip ending where the clip does.

    Args:
        clips: of one subset.
        store: features by clip uid.
        classes: numbers of the labels, the background 0.
        model: width and T.
        data: layout, and the grid.
        training: items carry moments.
        file: the annotations, named in errors.

    Raises:
        EgolibError: see ``ClipData``.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        store: Store,
        classes: ClassTable,
        model: ModelConfig,
        data: DataConfig,
        *,
        training: bool = False,
        file: str | Path | None = None,
    ):
        super().__init__(clips, store, classes, model, data, training=training, file=file)
        self.places = [(n, first) for n, clip in enumerate(self.clips) for first in self._of(clip)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> PointItem:
        """One item, not cut.

        Raises:
            EgolibError: the clip's features are missing, or hold NaN or infinity.
        """
        number, first = self.places[index]
        clip = self.clips[number]
        rows, fps = clip_features(clip, self.store, self.data)
        if not self.training:
            return PointItem(clip, rows[first : first + self.model.length], fps, first)
        moments, labels = self._moments(clip, fps)
        return PointItem(clip, rows, fps, 0, moments, labels)

    def sample(self, index: int, rng: np.random.Generator) -> PointItem:
        """One training clip, cut at random.

        Args:
            index: of the clip.
            rng: draws the cut.
        """
        return cut(self[index], self.model.length, self.data.grid, rng)

    def for_inference(self) -> PointData:
        """The windows of the same clips."""
        common = (self.clips, self.store, self.classes, self.model, self.data)
        return PointData(*common)

    def collate(self, items: Sequence[PointItem]) -> PointBatch:
        """Items as a batch, padded as far as the outputs depend on it."""
        return collate(items, self.model)

    def _of(self, clip: Clip) -> list[int]:
        """First features of a clip's windows."""
        if self.training:
            return [0]
        rows, _ = clip_features(clip, self.store, self.data)
        return window_starts(len(rows), self.model.length)

    def _moments(self, clip: Clip, fps: float) -> tuple[Floats, NDArray[np.int64]]:
        """Moments on the grid and their labels; equal ones once, as the official data set."""
        places = to_grid([(m.start_sec, m.end_sec) for m in clip.moments], fps, self.data.grid)
        labels = [self.classes[moment.label] - 1 for moment in clip.moments]
        rows = dict.fromkeys(
            (start, end, label) for (start, end), label in zip(places.tolist(), labels, strict=True)
        )
        moments = np.array([row[:2] for row in rows], np.float64).reshape(-1, 2)
        return moments, np.array([row[2] for row in rows], np.int64)


def to_grid(times: Sequence[tuple[float, float]], fps: float, grid: GridConfig) -> Floats:
    """(M, 2) float64 moments in features.

    Official behaviour (``frames``): times become whole frames, rounded down.

    Args:
        times: seconds in the clip.
        fps: features a second of this clip, which ``rows`` takes.
        grid: which, with its frames.
    """
    seconds = np.array(times, np.float64).reshape(-1, 2)
    if grid.times == "rows":
        return seconds * fps
    return (np.trunc(seconds * grid.fps) - grid.offset_frames) / grid.stride_frames


def to_seconds(places: Floats, fps: float, grid: GridConfig) -> Floats:
    """The way back of ``to_grid``.

    Args:
        places: (N, 2) in features of the clip.
        fps: features a second of this clip, which ``rows`` takes.
        grid: which, with its frames.
    """
    if grid.times == "rows":
        return places / fps
    return (places * grid.stride_frames + grid.offset_frames) / grid.fps


def window_starts(count: int, length: int) -> list[int]:
    """First features of the windows that cover a clip.

    Args:
        count: features of the clip.
        length: of a window.
    """
    starts = list(range(0, max(count - length, 0) + 1, length))
    return starts if starts[-1] + length >= count else [*starts, count - length]


def cut(item: PointItem, most: int, grid: GridConfig, rng: np.random.Generator) -> PointItem:
    """A stretch of a training clip with at least one moment; whole clips stay where none is found.

    Args:
        item: with moments.
        most: features at most.
        grid: how much is kept.
        rng: draws length and place.
    """
    assert item.moments is not None and item.labels is not None
    count = len(item.features)
    low, high = (round(fraction * count) for fraction in grid.crop)
    length = most if count > most else int(rng.integers(max(low, 1), min(high, count) + 1))
    if length >= count:
        return item
    for _ in range(TRIALS):
        start = int(rng.integers(0, count - length + 1))
        inside = item.moments.clip(start, start + length)
        whole = np.abs(item.moments[:, 1] - item.moments[:, 0])
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = (inside[:, 1] - inside[:, 0]) / whole >= grid.kept
        if kept.any():
            break
    return replace(
        item,
        features=item.features[start : start + length],
        first_feat=start,
        moments=inside[kept] - start,
        labels=item.labels[kept],
    )


def collate(items: Sequence[PointItem], model: ModelConfig) -> PointBatch:
    """Items side by side.

    Args:
        items: clips or windows.
        model: how far they are padded.
    """
    length = padded_length(max(len(item.features) for item in items), model)
    features = torch.zeros(len(items), length, items[0].features.shape[1])
    mask = torch.zeros(len(items), length, dtype=torch.bool)
    for row, item in enumerate(items):
        features[row, : len(item.features)] = torch.from_numpy(np.ascontiguousarray(item.features))
        mask[row, : len(item.features)] = True
    empty = np.zeros((0, 2))
    return PointBatch(
        features=features,
        mask=mask,
        moments=[torch.from_numpy(empty if i.moments is None else i.moments) for i in items],
        labels=[
            torch.from_numpy(np.zeros(0, np.int64) if i.labels is None else i.labels) for i in items
        ],
        items=list(items),
    )
