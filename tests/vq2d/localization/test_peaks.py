"""Score curves and peaks: edge cases, and what the corrections change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.vq2d.config import PeakConfig
from egolib.vq2d.localization.peaks import (
    best_scores,
    find_curve,
    high_peaks,
    median_filter,
    search_window,
)

CFG = PeakConfig(distance=3, width=1, prominence=0.1)


def curve(values: list[float], config: PeakConfig = CFG):
    return find_curve(np.arange(len(values)), np.array(values), config)


@pytest.mark.parametrize(
    ("frames", "recency", "subsampling", "expected"),
    [
        (0, 1.0, 1.0, []),
        (4, 1.0, 1.0, [0, 1, 2, 3]),
        (10, 0.3, 1.0, [7, 8, 9]),
        (10, 0.01, 1.0, list(range(10))),  # nothing would be left
        (9, 1.0, 0.5, [0, 2, 5, 8]),
        (3, 1.0, 0.1, [0, 1, 2]),
    ],
)
def test_search_window(frames: int, recency: float, subsampling: float, expected: list) -> None:
    config = PeakConfig(recency_factor=recency, subsampling_factor=subsampling)
    assert search_window(frames, config).tolist() == expected


def test_best_scores() -> None:
    assert best_scores([]).tolist() == []
    assert best_scores([[0.2, 0.7], []]).tolist() == [0.7, 0.0]


class TestMedianFilter:
    def test_empty_and_single(self) -> None:
        assert median_filter(np.zeros(0), 5).tolist() == []
        assert median_filter(np.array([0.9]), 5).tolist() == [0.0]  # zeros beyond both ends

    def test_even_sizes_are_raised(self) -> None:
        values = np.random.default_rng(0).random(20)
        np.testing.assert_array_equal(median_filter(values, 4), median_filter(values, 5))

    def test_reflection_keeps_the_ends(self) -> None:
        values = np.array([0.0, 0.0, 0.0, 0.8, 0.9])
        assert median_filter(values, 5)[-1] == 0.0
        assert median_filter(values, 5, "reflect")[-1] == 0.8


class TestCurveEnds:
    """An object in view up to the query."""

    values = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.8, 0.9, 0.9, 0.9)

    def test_official_has_no_peak_there(self) -> None:
        assert curve([0.1] * 6 + [0.8] * 2).peaks == ()

    def test_reflect_finds_it(self) -> None:
        config = replace(CFG, curve_ends="reflect")
        found = curve(list(self.values), config)
        assert found.peaks[-1].index >= 8
        assert found.peaks[-1].height == pytest.approx(0.9)

    def test_reflect_keeps_inner_peaks(self) -> None:
        values = [0.0] * 5 + [0.7] * 5 + [0.0] * 5
        config = replace(CFG, curve_ends="reflect")
        assert [p.index for p in curve(values).peaks] == [
            p.index for p in curve(values, config).peaks
        ]


def test_thresholds() -> None:
    values = [0.0] * 5 + [0.4] * 5 + [0.0] * 5 + [0.2] * 5 + [0.0] * 5
    found = curve(values)
    assert [p.height for p in found.peaks] == [0.4, 0.2]
    assert [p.height for p in high_peaks(found, replace(CFG, threshold=0.3))] == [0.4]
    assert high_peaks(found, replace(CFG, threshold=0.5)) == []
    relative = replace(CFG, threshold=0.5, threshold_kind="relative")
    assert [p.height for p in high_peaks(found, relative)] == [0.4, 0.2]


def test_margin_is_over_the_next_best_peak() -> None:
    values = [0.0] * 5 + [0.4] * 5 + [0.0] * 5 + [0.25] * 5 + [0.0] * 5
    assert [p.margin for p in curve(values).peaks] == pytest.approx([0.15, -0.15])
