"""A clip cut into cells: times to cells, cells to times, what is highlighted.

A clip of ``duration`` seconds has u equal cells; cell i lasts from i to i + 1 u-ths of it.

Official behaviour: borders are float32, computed in two different orders (see
``cell_borders`` and ``to_seconds``), so that they differ in their last bit.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from egolib.errors import EgolibError

SHORTEST_HULL = 1e-12
BORDER = 1e-6  # of the clip: times as close to a border belong to the cell behind it
Floats = NDArray[np.float64]


def cell_borders(units: int, duration_sec: float) -> Floats:
    """(u + 1,) starts of all cells and the end of the last, as targets are made from them.

    Each is (i / u) * duration, in float32, returned as float64.
    """
    steps = np.arange(units + 1, dtype=np.float32) / np.float32(units)
    return (steps * np.float32(duration_sec)).astype(np.float64)


def to_cells(
    start_sec: float,
    end_sec: float,
    units: int,
    duration_sec: float,
    empty_windows: str = "official",
) -> tuple[int, int]:
    """The first and the last cell of the stretch that fits a window best.

    That is the largest intersection over the hull of both; the first stretch on ties.
    Only the cells beside the window's two ends can be part of it, so four stretches
    are compared, not u squared.

    Official behaviour: a window that overlaps no cell, for instance one of length 0,
    gets cells (0, 0). ``empty_windows="nearest"`` gives those around its ends.

    Args:
        start_sec: start of the window.
        end_sec: end of the window.
        units: number of cells u, at least 1.
        duration_sec: length of the clip.
        empty_windows: cells of a window that overlaps none: ``official`` or ``nearest``.
    """
    borders = cell_borders(units, duration_sec)
    starts, ends = borders[:-1], borders[1:]
    best, found = 0.0, (0, 0)
    for first, last in product(_beside(starts, start_sec), _beside(ends, end_sec)):
        overlap = _overlap(starts[first], ends[last], start_sec, end_sec)
        if overlap > best:
            best, found = overlap, (first, last)
    if best == 0 and empty_windows == "nearest":
        return _holding(borders, start_sec), _holding(borders, max(start_sec, end_sec))
    return found


def _beside(borders: Floats, time_sec: float) -> list[int]:
    """The last border up to a time and the first behind it, as far as there are such."""
    after = int(np.searchsorted(borders, time_sec, side="right"))
    return [place for place in (after - 1, after) if 0 <= place < len(borders)]


def _overlap(start: float, end: float, start_sec: float, end_sec: float) -> float:
    """Intersection over hull of two windows, in double precision."""
    common = max(0.0, min(end, end_sec) - max(start, start_sec))
    return common / max(SHORTEST_HULL, max(end, end_sec) - min(start, start_sec))


def _holding(borders: Floats, time_sec: float) -> int:
    """The cell that a time lies in, the nearest one outside the clip."""
    place = int(np.searchsorted(borders, time_sec + BORDER * borders[-1], side="right")) - 1
    return min(max(place, 0), len(borders) - 2)


def to_seconds(
    start: ArrayLike, end: ArrayLike, units: int, duration_sec: float
) -> NDArray[np.float32]:
    """Windows (K, 2) in seconds float32 from first and last cells (K,).

    Official behaviour: each is (i * duration) / u in float32, in this order.

    Args:
        start: (K,) integers, first cell of each window.
        end: (K,) integers, last cell of each window, inclusive.
        units: number of cells u.
        duration_sec: length of the clip.

    Raises:
        EgolibError: a cell lies outside the clip.
    """
    cells = np.stack([np.asarray(start), np.asarray(end)], -1).reshape(-1, 2)
    if cells.size and (cells.min() < 0 or cells.max() >= units):
        raise EgolibError(
            f"cell {cells.max()} of a clip of {units} cells: no window of this clip is left",
            remedy="few_pairs: only_valid leaves impossible windows out",
        )
    borders = (cells + np.array([0, 1])).astype(np.float32)
    seconds: NDArray[np.float32] = borders * np.float32(duration_sec) / np.float32(units)
    return seconds


def highlight_stretch(start: int, end: int, length: int, extension: float = 0.1) -> tuple[int, int]:
    """The first and the last highlighted cell: the answer, reaching out on both sides.

    Args:
        start: first cell of the answer.
        end: last cell of the answer, inclusive.
        length: cells of the clip, which the stretch is cut to.
        extension: share of the answer's length on either side, rounded half to even.
    """
    reach = round(extension * float(end - start + 1))
    return max(0, start - reach), min(end + reach, length - 1)


def highlight_labels(
    start: int, end: int, length: int, padded: int, extension: float = 0.1
) -> NDArray[np.float32]:
    """(padded,) 1 inside the highlighted stretch of a clip, else 0.

    Args:
        start: first cell of the answer.
        end: last cell of the answer, inclusive.
        length: cells of the clip.
        padded: cells of the batch's longest clip.
        extension: see ``highlight_stretch``.
    """
    first, last = highlight_stretch(start, end, length, extension)
    labels = np.zeros(padded, np.float32)
    labels[first : last + 1] = 1
    return labels
