"""Clips as the network sees them: features, their rate, targets.

B clips, D feature width, T positions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from egolib.io.features import Store
from egolib.mq.config import DataConfig, ModelConfig
from egolib.mq.data.annotations import Clip
from egolib.mq.data.classes import ClassTable
from egolib.mq.data.clip_data import ClipData
from egolib.mq.data.labels import ClipTargets, clip_targets
from egolib.mq.data.rows import clip_features, moments_feat, vanished
from egolib.mq.data.stitching import Span, inference_windows, stitch, training_windows
from egolib.mq.data.targets import Targets, stack_targets

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Item:
    """One clip, or one window of it.

    Args:
        clip: the clip.
        features: (D, T) float32, zero behind the clip.
        valid: features of the clip, or of the window.
        fps: features a second.
        first_feat: first feature of the window in the clip.
        stitched: a stretched copy of the window stands behind it.
        targets: of training; None for inference.
    """

    clip: Clip
    features: Floats
    valid: int
    fps: float
    first_feat: int = 0
    stitched: bool = False
    targets: ClipTargets | None = None


@dataclass(frozen=True)
class Batch:
    """Items side by side.

    Args:
        features: (B, D, T).
        lengths: (B,) int64 features of each item.
        targets: of training; None for inference.
        items: what the rows are.
    """

    features: Tensor
    lengths: Tensor
    targets: Targets | None
    items: Sequence[Item]

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        targets = None if self.targets is None else self.targets.to(device)
        features = self.features.to(device, non_blocking=True)
        return Batch(features, self.lengths.to(device, non_blocking=True), targets, self.items)


class MomentsData(ClipData):
    """Clips with their features, and in training their targets.

    Without stitching an item is a clip, padded or cut to T features. With stitching it is
    one of the clip's windows.

    Args:
        clips: of one subset.
        store: features by clip uid (layout ``egovlpv2``) or video uid (``ego4d``).
        classes: numbers of the labels.
        model: width and scale.
        data: layout and stitching.
        training: items carry targets; stitching draws training windows.
        seed: of the training windows.
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
        seed: int = 0,
        file: str | Path | None = None,
    ):
        super().__init__(clips, store, classes, model, data, training=training, file=file)
        self.windows = self._windows(random.Random(seed))

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Item:
        """One item.

        Raises:
            EgolibError: the clip's features are missing, or hold NaN or infinity.
        """
        number, window = self.windows[index]
        clip = self.clips[number]
        rows, fps = clip_features(clip, self.store, self.data)
        moments = moments_feat(clip, fps)
        if window is None:
            return self._whole(clip, rows, fps, moments)
        stitched = stitch(rows, moments, window, self.model)
        targets = None
        if self.training:
            labels = self._labels(clip)[stitched.chosen]
            positions = self.model.length
            targets = clip_targets(
                stitched.moments_feat, labels, positions, positions, self.data.max_boxes
            )
        short = stitched.valid <= self.model.short_fraction * self.model.length
        return Item(clip, stitched.features, stitched.valid, fps, window[0], short, targets)

    def sample(self, index: int, rng: np.random.Generator) -> Item:
        """One item, for the engine; nothing about it is drawn.

        Args:
            index: of the item.
            rng: not used.
        """
        return self[index]

    def vanished(self) -> list[str]:
        """Records of the moments that have no length within their clip's features.

        They overlap no box; see ``LossConfig.zero_iou_truths``.
        """
        return vanished(self.clips, self.store.length, self.data, self.model.length)

    def for_inference(self) -> MomentsData:
        """The same items; their targets do not matter then."""
        return self

    def collate(self, items: Sequence[Item]) -> Batch:
        """Items as a batch."""
        return collate(items)

    def _whole(self, clip: Clip, rows: Floats, fps: float, moments: Floats) -> Item:
        """Official behaviour: a clip longer than T features is cut."""
        length = self.model.length
        valid = min(len(rows), length)
        features = np.zeros((rows.shape[1], length), np.float32)
        features[:, :valid] = rows[:valid].T
        targets = None
        if self.training:
            labels = self._labels(clip)
            targets = clip_targets(moments, labels, valid, length, self.data.max_boxes)
        return Item(clip, features, valid, fps, targets=targets)

    def _labels(self, clip: Clip) -> NDArray[np.int64]:
        return np.array([self.classes[moment.label] for moment in clip.moments], np.int64)

    def _windows(self, rng: random.Random) -> list[tuple[int, Span | None]]:
        if self.data.stitching == "none":
            return [(number, None) for number in range(len(self.clips))]
        windows: list[tuple[int, Span | None]] = []
        for number, clip in enumerate(self.clips):
            rows, fps = clip_features(clip, self.store, self.data)
            spans = (
                training_windows(moments_feat(clip, fps), len(rows), self.model, self.data, rng)
                if self.training
                else inference_windows(len(rows), self.model.length)
            )
            windows += [(number, span) for span in spans]
        return windows


def collate(items: Sequence[Item]) -> Batch:
    """Items side by side; targets where they have some."""
    targets = [item.targets for item in items if item.targets is not None]
    return Batch(
        features=torch.from_numpy(np.stack([item.features for item in items])),
        lengths=torch.tensor([item.valid for item in items]),
        targets=stack_targets(targets) if targets else None,
        items=list(items),
    )
