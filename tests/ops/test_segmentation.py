from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.ops.segmentation import (
    kernel_temporal_segmentation,
    scatters,
    segment_kernel,
)


def pieces(*lengths: int, width: int = 6, seed: int = 0) -> np.ndarray:
    """Features with a new mean for every piece."""
    rng = np.random.default_rng(seed)
    means = 5 * rng.standard_normal((len(lengths), width))
    rows = np.repeat(means, lengths, 0)
    return rows + 0.3 * rng.standard_normal(rows.shape)


def scatter(x: np.ndarray) -> float:
    return float(((x - x.mean(0)) ** 2).sum())


def exhaustive(x: np.ndarray, points: int, shortest: int, longest: int) -> tuple[float, tuple]:
    """The least scatter of all segmentations, tried one by one."""
    best = (np.inf, ())
    for cuts in combinations(range(1, len(x)), points):
        edges = [0, *cuts, len(x)]
        lengths = np.diff(edges)
        if lengths.min() < shortest or lengths.max() > longest:
            continue
        total = sum(scatter(x[a:b]) for a, b in pairwise(edges))
        best = min(best, (total, cuts))
    return best


def test_scatters_are_those_of_the_segments() -> None:
    x = pieces(4, 5)
    table = scatters(x @ x.T)
    for i in range(9):
        assert not table[i, :i].any()
        for j in range(i, 9):
            assert table[i, j] == pytest.approx(scatter(x[i : j + 1]), abs=1e-8)


@pytest.mark.parametrize(
    "points, shortest, longest", [(0, 1, 20), (2, 1, 20), (2, 3, 6), (3, 2, 5)]
)
def test_the_least_scatter_of_all(points: int, shortest: int, longest: int) -> None:
    for seed in range(4):
        x = pieces(4, 5, 3, seed=seed)
        found = kernel_temporal_segmentation(
            x, points=points, shortest=shortest, longest=longest, first_segment="longest"
        )
        cost, cuts = exhaustive(x, points, shortest, longest)
        assert tuple(found.points) == cuts
        assert found.costs[-1] == pytest.approx(cost, abs=1e-8)
        assert found.lengths(len(x)).sum() == len(x)


def test_changes_are_found_in_any_features() -> None:
    x = pieces(30, 12, 25, 40)
    found = kernel_temporal_segmentation(x, 8, penalty=20.0)
    assert found.points.tolist() == [30, 42, 67]
    assert len(found.costs) == 9 and int(np.argmin(found.costs)) == 3


def test_a_small_penalty_takes_all_points() -> None:
    assert len(kernel_temporal_segmentation(pieces(30, 12, 25), 8, penalty=1e-9).points) == 8


def test_the_first_segment_is_one_shorter_officially() -> None:
    x = pieces(6, 6)
    official = kernel_temporal_segmentation(x, points=1, longest=6)
    assert np.isinf(official.costs[1]) and official.points.tolist() == [0]
    mended = kernel_temporal_segmentation(x, points=1, longest=6, first_segment="longest")
    assert mended.points.tolist() == [6]
    with pytest.raises(EgolibError, match=r"no segmentation of 12 items.*\n.*first_segment"):
        kernel_temporal_segmentation(x, 1, longest=6)


def test_single_precision_sums_lose_boundaries() -> None:
    """A large common offset leaves too few digits for the differences."""
    x = (pieces(20, 20, 20) + 3000).astype(np.float32)
    kernel = (x.astype(np.float64) @ x.astype(np.float64).T).astype(np.float32)
    official = scatters(kernel)
    assert official.min() < 0
    exact = x.astype(np.float64) @ x.astype(np.float64).T
    assert scatters(exact).min() > -1e-2
    assert segment_kernel(exact, 5, points=2).points.tolist() == [20, 40]
    double = scatters(kernel, "double")
    assert np.abs(double - scatters(exact)).max() < np.abs(official - scatters(exact)).max()


def test_equal_costs_take_the_smallest_point() -> None:
    assert kernel_temporal_segmentation(np.ones((9, 2)), points=2).points.tolist() == [1, 2]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"max_points": 5}, "6 segments"),
        ({"max_points": 1, "longest": 2}, "2 segments of 1 to 2"),
        ({"max_points": 1, "shortest": 4, "longest": 3}, "segments of 4 to 3"),
        ({"max_points": -1}, "-1 points"),
    ],
)
def test_lengths_that_do_not_fit(settings: dict, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        kernel_temporal_segmentation(np.ones((5, 2)), **settings)


def test_no_features() -> None:
    for bad in (np.zeros((0, 3)), np.zeros(4)):
        with pytest.raises(EgolibError, match=r"features \(N, D\) were expected"):
            kernel_temporal_segmentation(bad)
    with pytest.raises(EgolibError, match="square"):
        segment_kernel(np.zeros((4, 3)))
