"""Cells: the closed form against the exhaustive search, and the ways back."""

from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.nlq.data.vslnet.cells import (
    cell_borders,
    highlight_labels,
    highlight_stretch,
    to_cells,
    to_seconds,
)


def exhaustive(start, end, units, duration):
    """The first of all u * u stretches with the largest intersection over hull."""
    borders = cell_borders(units, duration)
    first, last = borders[:-1, None], borders[None, 1:]
    common = np.maximum(0, np.minimum(last, end) - np.maximum(first, start))
    hull = np.maximum(1e-12, np.maximum(last, end) - np.minimum(first, start))
    return divmod(int((common / hull).argmax()), units)


def windows(rng, units, duration):
    """Random windows, and those that lie on borders, are empty, reversed, outside."""
    random = rng.uniform(-0.2, 1.2, (40, 2)) * duration
    borders = cell_borders(units, duration)
    on_borders = rng.choice(borders, (20, 2))
    centres = (borders[rng.integers(0, units, 5)] + duration / units / 2)[:, None]
    tied = centres + np.array([[-1, 1]]) * duration / units * rng.integers(1, 3, (5, 1))
    same = rng.uniform(0, duration, (5, 1)).repeat(2, 1)
    return np.concatenate([np.sort(random, 1), random, on_borders, tied, same])


@pytest.mark.parametrize("units", [1, 2, 3, 17, 64])
def test_equal_to_the_exhaustive_search(units):
    rng = np.random.default_rng(units)
    for duration in (1.0, 10.839, 479.4666666666667):
        for start, end in windows(rng, units, duration).tolist():
            found = to_cells(start, end, units, duration)
            assert found == exhaustive(start, end, units, duration), (start, end, duration)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((0.0, 10.0), (0, 9)),
        ((2.0, 4.0), (2, 3)),
        ((2.9, 4.1), (3, 3)),
        ((2.5, 2.6), (2, 2)),
        ((-5.0, 1.2), (0, 1)),
        ((9.5, 30.0), (9, 9)),
    ],
)
def test_windows(window, expected):
    assert to_cells(*window, 10, 10.0) == expected
    assert to_cells(*window, 10, 10.0, "nearest") == expected


@pytest.mark.parametrize(
    ("window", "nearest"),
    [
        ((5.2, 5.2), (5, 5)),
        ((5.0, 5.0), (5, 5)),
        ((5.9999999, 5.9999999), (6, 6)),
        ((10.0, 10.0), (9, 9)),
        ((12.0, 13.0), (9, 9)),
        ((-3.0, -2.0), (0, 0)),
        ((7.5, 7.1), (7, 7)),
    ],
)
def test_windows_that_overlap_nothing(window, nearest):
    """Officially they are labelled at the clip's start."""
    assert to_cells(*window, 10, 10.0) == (0, 0)
    assert to_cells(*window, 10, 10.0, "nearest") == nearest


def test_back_to_seconds():
    found = to_seconds([0, 2], [0, 4], 5, 10.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 2], [4, 10]])
    assert to_seconds([], [], 5, 10.0).shape == (0, 2)


def test_the_two_orders_of_arithmetic_differ():
    """Targets divide first, answers multiply first; both in float32."""
    units, duration = 113, 33.1
    cells = np.arange(units)
    differ = to_seconds(cells, cells, units, duration)[:, 0] != cell_borders(units, duration)[:-1]
    assert 0 < differ.sum() < units


@pytest.mark.parametrize(("start", "end"), [(0, 5), (5, 5), (-1, 2)])
def test_cells_outside_the_clip(start, end):
    with pytest.raises(EgolibError, match="of a clip of 5 cells"):
        to_seconds([start], [end], 5, 10.0)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ((4, 4), (4, 4)),
        ((3, 7), (3, 7)),  # 0.5 is rounded to even, to 0
        ((3, 8), (2, 9)),
        ((2, 16), (0, 18)),  # 1.5 to 2
        ((10, 34), (8, 36)),  # 2.5 to 2
        ((0, 19), (0, 21)),
        ((20, 39), (18, 39)),
    ],
)
def test_highlighted_stretch(cells, expected):
    assert highlight_stretch(*cells, 40) == expected


def test_highlight_labels():
    assert highlight_labels(1, 2, 4, 6).tolist() == [0, 1, 1, 0, 0, 0]
    assert highlight_labels(1, 2, 4, 6, extension=0.5).tolist() == [1, 1, 1, 1, 0, 0]
