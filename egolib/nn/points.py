"""Points of a feature pyramid, what a network says about them, what each should predict.

Point i of level l sits at i * 2**l on the feature grid, without a half offset.

Shapes: P points of all levels from fine to coarse, N windows of a sample, K classes,
B batch. Windows are in features (grid units).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.nn.temporal_config import PointRules

TIE = 1e-3  # windows whose lengths differ by no more have the same class labels

Sharing = Literal["shortest", "all"]


@dataclass(frozen=True)
class Points:
    """All points of a pyramid.

    Args:
        positions: (P,) float32, in features.
        strides: (P,) float32, of each point's level.
        levels: (P,) int64.
        lengths: points of each level.
    """

    positions: Tensor
    strides: Tensor
    levels: Tensor
    lengths: tuple[int, ...]


@dataclass
class Predictions:
    """What the network says about every point, levels concatenated from fine to coarse.

    Args:
        logits: (B, P, K).
        offsets: (B, P, 2) distances to the left and right end, in strides of the
            point's level, not negative.
        mask: (B, P), false in the padding, where logits and offsets are 0.
        lengths: points of each level.
    """

    logits: Tensor
    offsets: Tensor
    mask: Tensor
    lengths: tuple[int, ...]

    def level(self, values: Tensor, number: int) -> Tensor:
        """The part of a (B, P, ...) tensor that belongs to one level."""
        return torch.split(values, list(self.lengths), 1)[number]


@dataclass(frozen=True)
class Targets:
    """What the points of a batch should predict.

    Args:
        classes: (B, P, K) in [0, 1].
        offsets: (B, P, 2) distances to the window's ends in strides; meaningful at
            positives only.
    """

    classes: Tensor
    offsets: Tensor

    @property
    def positive(self) -> Tensor:
        """(B, P) true where a point belongs to a window."""
        return self.classes.sum(-1) > 0


@lru_cache(maxsize=64)
def make_points(lengths: tuple[int, ...], device: torch.device | str = "cpu") -> Points:
    """The points of a pyramid with these level lengths."""
    with torch.inference_mode(False):  # cached tensors must serve training too
        levels = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        strides = (2.0**levels).to(torch.float32)
        positions = torch.cat([torch.arange(n) * 2.0**i for i, n in enumerate(lengths)])
        return Points(positions.to(device), strides.to(device), levels.to(device), lengths)


def pyramid_lengths(length: int, levels: int) -> tuple[int, ...]:
    """Points of each level for a padded length."""
    lengths = [length]
    while len(lengths) < levels:
        lengths.append(-(-lengths[-1] // 2))
    return tuple(lengths)


def assign_batch(
    points: Points,
    windows: Sequence[Tensor],
    labels: Sequence[Tensor],
    valid: Sequence[int],
    config: PointRules,
    classes: int = 1,
    sharing: Sharing = "shortest",
) -> Targets:
    """Targets of a batch.

    Args:
        points: of the pyramid.
        windows: for each sample (N, 2) float64, in features.
        labels: for each sample (N,) int64 class numbers.
        valid: for each sample how many features its video has.
        config: ranges and sampling.
        classes: number of classes.
        sharing: see ``assign``.
    """
    each = [
        assign(points, w, label, config, classes, n, sharing)
        for w, label, n in zip(windows, labels, valid, strict=True)
    ]
    return Targets(torch.stack([c for c, _ in each]), torch.stack([o for _, o in each]))


def assign(
    points: Points,
    windows: Tensor,
    labels: Tensor,
    config: PointRules,
    classes: int = 1,
    valid: int | None = None,
    sharing: Sharing = "shortest",
) -> tuple[Tensor, Tensor]:
    """Class targets (P, K) and offset targets (P, 2) of one sample, in the windows' dtype.

    A point that several windows claim takes the shortest one, and the classes of all
    that are no longer than it (plus 0.001). Points in the padding may become positive;
    the loss masks them.

    Official behaviour: a window between two grid points gets no positive at all;
    ``config.positives`` says whether that stays so.

    Args:
        points: of the pyramid.
        windows: (N, 2).
        labels: (N,) class numbers.
        config: ranges and sampling.
        classes: number of classes.
        valid: features of the video; bounds the point of a guaranteed positive.
        sharing: whose classes a point takes: those of the ``shortest`` window and of those
            as long as it, or of ``all`` that may claim it.
    """
    count = len(points.positions)
    if len(windows) == 0:
        return windows.new_zeros(count, classes), windows.new_zeros(count, 2)
    left, right = _distances(points, windows)
    allowed = _allowed(points, windows, left, right, config)
    if config.positives == "guaranteed":
        allowed = _guarantee(points, windows, allowed, valid)
        left, right = left.clamp(min=0), right.clamp(min=0)
    lengths = (windows[:, 1] - windows[:, 0]).expand(count, -1)
    shortest, chosen = lengths.masked_fill(~allowed, float("inf")).min(1)
    shared = allowed  # P N
    if sharing == "shortest":
        shared = shared & (lengths <= shortest[:, None] + TIE)
    one_hot = torch.nn.functional.one_hot(labels, classes).to(windows.dtype)
    chosen = chosen[:, None]
    offsets = torch.cat([left.gather(1, chosen), right.gather(1, chosen)], 1)  # P 2
    return (shared.to(windows.dtype) @ one_hot).clamp(0, 1), offsets / points.strides[:, None]


def _distances(points: Points, windows: Tensor) -> tuple[Tensor, Tensor]:
    """(P, N) from each point to each window's start and end; negative outside."""
    position = points.positions[:, None]
    return position - windows[:, 0], windows[:, 1] - position


def _allowed(
    points: Points, windows: Tensor, left: Tensor, right: Tensor, config: PointRules
) -> Tensor:
    """(P, N) whether a point may predict a window."""
    if len(config.regression_ranges) < len(points.lengths):
        raise EgolibError(
            f"{len(config.regression_ranges)} regression ranges for {len(points.lengths)} levels"
        )
    if config.center_sampling == "radius":
        position, radius = points.positions[:, None], config.center_radius * points.strides[:, None]
        center = windows.mean(1)
        near_left = position - torch.maximum(center - radius, windows[:, 0])
        near_right = torch.minimum(center + radius, windows[:, 1]) - position
        inside = torch.minimum(near_left, near_right) > 0
    else:
        inside = torch.minimum(left, right) > 0
    ranges = left.new_tensor(config.regression_ranges)[points.levels]  # P 2
    far = torch.maximum(left, right)
    return inside & (far >= ranges[:, :1]) & (far <= ranges[:, 1:])


def _guarantee(points: Points, windows: Tensor, allowed: Tensor, valid: int | None) -> Tensor:
    """``allowed``, with the nearest valid point of level 0 added for windows without any."""
    last = (points.lengths[0] if valid is None else valid) - 1
    nearest = windows.mean(1).round().long().clamp(0, last)  # level 0 has stride 1
    point = torch.arange(len(points.positions), device=nearest.device)[:, None]
    usable = points.positions[:, None] <= last
    return allowed | ((point == nearest) & ~(allowed & usable).any(0))
