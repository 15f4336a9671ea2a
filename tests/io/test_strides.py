"""The stride that lengths speak for: right ones are never doubted, wrong ones are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from egolib.io.strides import estimate_stride

PUBLISHED = 16.043


def lengths_of(durations, stride, fps=30.0, edge=0.0, rounding=math.floor):
    """Rows by uid of an extraction that treats the edges of a clip so."""
    return {uid: max(rounding(sec * fps / stride + edge), 1) for uid, sec in durations.items()}


@pytest.mark.parametrize("stride", [8.0, 16.0, PUBLISHED, 30 / 1.87, 32.0])
def test_right_stores_of_whole_minute_clips_are_not_doubted(stride):
    rng = np.random.default_rng(round(stride * 10))
    for _ in range(12):
        durations = {f"c{i}": 60.0 * rng.integers(1, 11) for i in range(rng.integers(1, 100))}
        window, rounding = rng.choice([8, 16, 32]), [math.floor, math.ceil][rng.integers(2)]
        edge = rng.choice([0.0, 1.0, 1 - window / stride])
        found = estimate_stride(lengths_of(durations, stride, 30.0, edge, rounding), durations)
        assert found is not None and found.agrees_with(stride)
        assert not found.outliers
        for wrong in (stride / 2, stride * 2, stride * 1.25):
            assert not found.agrees_with(wrong)


def test_clips_that_differ_tell_near_strides_apart():
    durations = {f"c{i}": 200.0 + 10 * i for i in range(100)}
    for right, wrong in ((PUBLISHED, 16.0), (16.0, PUBLISHED)):
        found = estimate_stride(lengths_of(durations, right), durations)
        assert found.agrees_with(right) and not found.agrees_with(wrong)
        assert found.low <= right <= found.high
        assert found.frames == pytest.approx(right, abs=0.01)


@pytest.mark.parametrize("fps", [25, 60])
def test_other_rates(fps):
    durations = {f"c{i}": 100.0 + 7 * i for i in range(20)}
    found = estimate_stride(lengths_of(durations, 16.0, fps), durations, fps)
    assert found.agrees_with(16.0)
    assert not estimate_stride(lengths_of(durations, 16.0, fps), durations, 30.0).agrees_with(16.0)


def test_odd_clips_are_listed_and_do_not_disturb():
    durations = {f"c{i}": 480.0 for i in range(20)}
    lengths = lengths_of(durations, 16.0) | {"c3": 700}
    found = estimate_stride(lengths, durations)
    assert found.agrees_with(16.0) and found.clips == 19
    assert found.outliers == {"c3": "700 rows, 900 expected"}


def test_without_clips_there_is_no_estimate():
    assert estimate_stride({}, {}) is None
    assert estimate_stride({"a": 10}, {"a": 5.0}).agrees_with(PUBLISHED)
