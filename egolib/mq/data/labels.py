"""Training targets of a clip: boxes and three curves (section 3 of the specification).

T positions, M moments. Positions are features; every number before the float32 output is
double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from egolib.errors import EgolibError

START_REACH = 1.5  # features to both sides of a start or end

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ClipTargets:
    """What one clip should be found to hold.

    Args:
        moments: (M, 2) float32 start and end in features; at most ``max_boxes``.
        labels: (M,) int64 classes.
        action: (T,) float32 class index inside moments, 0 outside.
        start: (T,) float32 largest fraction of each position that a start covers.
        end: (T,) float32 the same for ends.
    """

    moments: Floats
    labels: NDArray[np.int64]
    action: Floats
    start: Floats
    end: Floats


def clip_targets(
    moments_feat: Floats, labels: NDArray[np.int64], valid: int, length: int, max_boxes: int = 50
) -> ClipTargets:
    """Targets of one clip.

    Official behaviour: moments are clamped to the clip's features, so that one beyond them
    becomes a box without length; moments after the first ``max_boxes`` are no boxes but
    take part in the curves; later moments overwrite earlier ones in ``action``.

    Args:
        moments_feat: (M, 2) float64 start and end in features; M at least 1.
        labels: (M,) int64 classes.
        valid: features of the clip.
        length: positions T of the network.
        max_boxes: most boxes.

    Raises:
        EgolibError: no moment.
    """
    if not len(moments_feat):
        raise EgolibError("a clip without moments has no training targets")
    inside = np.clip(np.asarray(moments_feat, np.float64), 0, valid - 1) / length  # fractions
    boxes = inside[:max_boxes].astype(np.float32) * np.float32(length)
    return ClipTargets(
        moments=boxes,
        labels=np.asarray(labels[:max_boxes], np.int64),
        action=_action(inside * length, labels, length),
        start=coverage(inside[:, 0], length),
        end=coverage(inside[:, 1], length),
    )


def _action(moments: Floats, labels: NDArray[np.int64], length: int) -> Floats:
    """(T,) class of the last moment at each position; ends round half to even, inclusive."""
    action = np.zeros(length, np.float32)
    first, last = np.rint(moments).astype(int).T
    for start, end, label in zip(first, last, labels, strict=True):
        action[start : end + 1] = label
    return action


def coverage(ends: Floats, length: int) -> Floats:
    """(T,) largest fraction of position j, [j, j + 1] / T, within 1.5 / T of any end (M,)."""
    gap = 1.0 / length
    low, high = gap * np.arange(length), gap * np.arange(1, length + 1)
    reach = 3 * gap / 2
    common = np.minimum(high, ends[:, None] + reach) - np.maximum(low, ends[:, None] - reach)
    fractions: Floats = (np.maximum(common, 0.0) / (high - low)).max(0).astype(np.float32)
    return fractions
