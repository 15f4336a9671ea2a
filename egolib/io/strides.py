"""The distance between features that the lengths of a store speak for.

A clip of f frames gets floor(f / stride + c) rows: c depends on how the extraction treats
the edges and is the same for all clips. Each length so bounds the stride and c; what
satisfies all of them is an interval of strides, found by linear programming. It is wide
where clips are alike and narrow where they differ, so that a right stride is never
doubted, and half or twice the stride always is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A clip whose length is further off than this has other features.
OUTLIER_ROWS = 3.0
#: Rows that the edges of a clip may cost or give: c lies between.
_EDGE_ROWS = (-6.0, 3.0)
#: Half a row is lost by whole numbers; durations are rounded, too.
_SLACK_ROWS = 0.75


@dataclass(frozen=True)
class StrideEstimate:
    """The distance between features that lengths and durations speak for.

    Attributes:
        frames: the middle of the interval, at the report's frame rate.
        low, high: the interval of strides that explain the lengths.
        clips: how many it rests on, without outliers.
        outliers: uid -> what is odd about its length.
    """

    frames: float
    low: float
    high: float
    clips: int
    outliers: dict[str, str]

    def agrees_with(self, frames: float) -> bool:
        """Whether a stride explains the lengths (to 0.02 %)."""
        return self.low * 0.9998 <= frames <= self.high * 1.0002


def estimate_stride(
    lengths: Mapping[str, int], durations_sec: Mapping[str, float], fps: float = 30.0
) -> StrideEstimate | None:
    """The strides that explain the lengths of a store; None without a clip.

    Args:
        lengths: rows by uid.
        durations_sec: length of each clip, by uid.
        fps: frames per second in which strides are counted.
    """
    uids = sorted(uid for uid in lengths if durations_sec[uid] > 0)
    if not uids:
        return None
    frames = np.array([durations_sec[uid] * fps for uid in uids])
    rows = np.array([lengths[uid] for uid in uids], float)
    misfit = rows - _usual_rate(frames, rows) * frames
    centre = np.median(misfit)
    kept = np.abs(misfit - centre) <= OUTLIER_ROWS
    low, high = _rates(frames[kept], rows[kept])
    outliers = {
        uids[i]: f"{lengths[uids[i]]} rows, {rows[i] - misfit[i] + centre:.0f} expected"
        for i in np.flatnonzero(~kept)
    }
    return StrideEstimate(2 / (low + high), 1 / high, 1 / low, int(kept.sum()), outliers)


def _usual_rate(frames: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """Rows a frame of most clips: the median of the slopes between them, or of their own.

    Between clips of nearly the same length a slope says nothing: only far ones are asked.
    """
    chosen = np.random.default_rng(0).permutation(len(frames))[:1000]
    apart = frames[chosen][:, None] - frames[chosen]
    far = apart > 0.1 * frames.max()
    if not far.any():
        return float(np.median(rows / frames))
    more = rows[chosen][:, None] - rows[chosen]
    return float(np.median(more[far] / apart[far]))


def _rates(frames: NDArray[np.float64], rows: NDArray[np.float64]) -> tuple[float, float]:
    """The least and the largest rate that explain the lengths, with the least slack."""
    from scipy.optimize import linprog

    ones = np.ones(len(frames))
    # rate * f + c - rows <= slack and rows - rate * f - c <= slack, for (rate, c, slack)
    above, below = np.stack([frames, ones, -ones], 1), np.stack([-frames, -ones, -ones], 1)
    sides = np.concatenate([above, below])
    bounds, limits = np.concatenate([rows, -rows]), [(1e-9, None), _EDGE_ROWS, (_SLACK_ROWS, None)]
    slack = linprog([0, 0, 1], sides, bounds, bounds=limits).x[2]
    limits[2] = (slack, slack + 1e-6)
    least, most = (linprog([sign, 0, 0], sides, bounds, bounds=limits).x[0] for sign in (1.0, -1.0))
    return float(least), float(most)
