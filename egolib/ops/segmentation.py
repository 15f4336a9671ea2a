"""Kernel temporal segmentation: where a sequence of descriptors changes.

Legend: N items (shots, frames, features), D width, m change points.

Potapov et al., Category-specific video summarization (ECCV 2014). A segmentation's cost
is the scatter of every segment around its mean in the kernel's space, plus a penalty on
the number of segments; the optimum is found by dynamic programming. It works on any
features: ``kernel_temporal_segmentation(features).points``. NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from egolib.errors import EgolibError

#: ``official`` adds up the kernel in its own number format, ``double`` in 64 bits.
Sums = Literal["official", "double"]

#: ``official`` allows the first segment one item less than all others, ``longest`` equally many.
FirstSegment = Literal["official", "longest"]

MAX_POINTS, LONGEST, PENALTY = 19, 199, 1.0

_NONE, _OUTSIDE = 1e100, 1e101  # no segmentation of this length; not looked at


@dataclass(frozen=True)
class Segmentation:
    """Where a sequence is cut.

    Args:
        points: (m,) int64, the first item of every segment but the first, ascending; zeros
            where the wanted number of points has no solution.
        costs: cost of 0, 1, 2 ... change points, penalty included; inf where the lengths
            allow none.
    """

    points: np.ndarray
    costs: np.ndarray

    def lengths(self, count: int) -> np.ndarray:
        """(m + 1,) int64 items of every segment of a sequence of ``count`` items."""
        return np.diff(np.concatenate([[0], self.points, [count]]))


def kernel_temporal_segmentation(
    features: np.ndarray,
    max_points: int = MAX_POINTS,
    *,
    points: int | None = None,
    shortest: int = 1,
    longest: int = LONGEST,
    penalty: float = PENALTY,
    sums: Sums = "official",
    first_segment: FirstSegment = "official",
) -> Segmentation:
    """Cuts a sequence of features where their linear kernel changes.

    Official behaviour: features are not normalised and ``penalty`` is not scaled to their
    kernel, so that for wide raw features it is negligible and ``max_points`` points come out.

    Args:
        features: (N, D) float; float32 is summed in float32 with ``sums: official``.
        max_points: the largest number of change points that is tried.
        points: a fixed number instead.
        shortest: fewest items of a segment.
        longest: most items of a segment.
        penalty: weight of the number of points.
        sums: ``double`` is exact where float32 loses digits (thousands of wide features).
        first_segment: whether the first segment may be as long as the others.

    Raises:
        EgolibError: no features, or too few or too many for these lengths.
    """
    features = np.asarray(features)
    if features.ndim != 2 or not len(features):
        raise EgolibError(f"features (N, D) were expected, not {features.shape}")
    return segment_kernel(
        features @ features.T,
        max_points,
        points=points,
        shortest=shortest,
        longest=longest,
        penalty=penalty,
        sums=sums,
        first_segment=first_segment,
    )


def segment_kernel(
    kernel: np.ndarray,
    max_points: int = MAX_POINTS,
    *,
    points: int | None = None,
    shortest: int = 1,
    longest: int = LONGEST,
    penalty: float = PENALTY,
    sums: Sums = "official",
    first_segment: FirstSegment = "official",
) -> Segmentation:
    """The same from a kernel (N, N) of any kind; see ``kernel_temporal_segmentation``.

    Args:
        kernel: symmetric, positive semi-definite.
        max_points: the largest number of change points that is tried.
        points: a fixed number instead.
        shortest: fewest items of a segment.
        longest: most items of a segment.
        penalty: weight of the number of points.
        sums: see ``kernel_temporal_segmentation``.
        first_segment: see ``kernel_temporal_segmentation``.

    Raises:
        EgolibError: the kernel is not square, or the lengths do not fit.
    """
    most = max_points if points is None else points
    count = _check(kernel, most, shortest, longest)
    bands = _Sums.of(kernel, sums).bands(shortest, longest)
    scores, back = _programme(bands, most, shortest, longest, first_segment)
    costs = np.where(scores[:, count] > 0.1 * _NONE, np.inf, scores[:, count])
    if points is not None:
        return Segmentation(_backtrack(back, count, points), costs)
    costs = costs / count + _penalties(count, most, penalty)
    best = int(np.argmin(costs))
    if count > (best + 1) * longest:
        raise EgolibError(
            f"no segmentation of {count} items into {most + 1} segments of at most {longest}",
            remedy="first_segment: longest allows one item more, or raise max_points",
        )
    return Segmentation(_backtrack(back, count, best), costs)


def scatters(kernel: np.ndarray, sums: Sums = "official") -> np.ndarray:
    """(N, N) float64: scatter of the items i to j around their mean; 0 below the diagonal.

    Official behaviour: sums of the kernel are built up in its own number format, so that
    those of a float32 kernel may be off by more than a boundary gains, and even negative.

    Args:
        kernel: (N, N).
        sums: ``double`` adds up in 64 bits.
    """
    count = len(kernel)
    start, last = np.triu_indices(count)
    table = np.zeros((count, count))
    table[start, last] = _Sums.of(kernel, sums).scatter(start, last + 1)
    return table


@dataclass(frozen=True)
class _Sums:
    """Cumulative sums of a kernel: of its diagonal (N + 1,), and of its squares (N + 1, N + 1)."""

    diagonal: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, kernel: np.ndarray, sums: Sums) -> _Sums:
        kernel = kernel.astype(np.float64) if sums == "double" else kernel
        count = len(kernel)
        diagonal = np.zeros(count + 1)
        np.cumsum(kernel.diagonal().astype(np.float64), out=diagonal[1:])
        squares = np.zeros((count + 1, count + 1), kernel.dtype)
        squares[1:, 1:] = kernel
        for row in range(2, count + 1):  # as cumsum along this axis, which is slow
            squares[row] += squares[row - 1]
        np.cumsum(squares[1:], 1, out=squares[1:])
        return cls(diagonal, squares)

    def scatter(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """Of the items ``start`` to ``stop`` - 1, in float64, in the official order of sums."""
        ends, starts, low, high = (
            self.squares[places].astype(np.float64)
            for places in ((stop, stop), (start, start), (stop, start), (start, stop))
        )
        square = ends + starts - low - high
        found: np.ndarray = self.diagonal[stop] - self.diagonal[start] - square / (stop - start)
        return found

    def bands(self, shortest: int, longest: int) -> np.ndarray:
        """(N + 1, longest - shortest + 1): row l, column c: items l - longest + c to l - 1."""
        stop = np.arange(len(self.diagonal))[:, None]
        start = stop - longest + np.arange(longest - shortest + 1)
        inside = start >= 0
        found = np.zeros(start.shape)
        found[inside] = self.scatter(start[inside], np.broadcast_to(stop, start.shape)[inside])
        return found


def _check(kernel: np.ndarray, points: int, shortest: int, longest: int) -> int:
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise EgolibError(f"a square kernel was expected, not {kernel.shape}")
    if not 1 <= shortest <= longest or points < 0:
        raise EgolibError(f"{points} points, segments of {shortest} to {longest} items")
    count = len(kernel)
    if not (points + 1) * shortest <= count <= (points + 1) * longest:
        raise EgolibError(
            f"{count} items are no {points + 1} segments of {shortest} to {longest} items",
            remedy="change the number of points or the longest segment",
        )
    return count


def _programme(
    bands: np.ndarray, points: int, shortest: int, longest: int, first_segment: FirstSegment
) -> tuple[np.ndarray, np.ndarray]:
    """Least scatter (points + 1, N + 1) of the first l items with k points, and the last point.

    All l are looked at in one step; of equal candidates the smallest point is kept.
    """
    count, width = len(bands) - 1, bands.shape[1]
    scores = np.full((points + 1, count + 1), _OUTSIDE)
    back = np.zeros((points + 1, count + 1), np.int64)
    limit = min(longest if first_segment == "longest" else longest - 1, count)
    lengths = np.arange(shortest, limit + 1)
    scores[0, lengths] = bands[lengths, longest - lengths]
    for k in range(1, points + 1):
        padded = np.concatenate([np.full(longest, _OUTSIDE), scores[k - 1]])
        ends = np.arange((k + 1) * shortest, count + 1)
        candidates = sliding_window_view(padded, width)[ends] + bands[ends]
        choice = candidates.argmin(1)
        least = candidates[np.arange(len(ends)), choice]
        possible = least < _NONE
        scores[k, ends] = np.where(possible, least, _NONE)
        back[k, ends] = np.where(possible, ends - longest + choice, 0)
    return scores, back


def _penalties(count: int, points: int, penalty: float) -> np.ndarray:
    """The price of 0, 1, ... points."""
    number = np.arange(1, points + 1)
    price = penalty * number / (2.0 * count) * (np.log(count / number) + 1)
    return np.concatenate([[0.0], price])


def _backtrack(back: np.ndarray, count: int, points: int) -> np.ndarray:
    found = np.zeros(points, np.int64)
    place = count
    for k in range(points, 0, -1):
        place = found[k - 1] = back[k, place]
    return found
