from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egolib.errors import EgolibError
from egolib.vlp.data.sampling import (
    drawer,
    epic_intervals,
    intervals,
    middle_frames,
    moment_frames,
    random_frames,
    seconds_to_span,
    span,
    whole_video,
)


@pytest.mark.parametrize(
    "parts, expected",
    [
        (whole_video(4, 0), []),
        (whole_video(4, 2), [0, 1]),
        (whole_video(2, 10), [2, 7]),
        (span(2, 4, 10), [5, 8]),
        (span(4, 5, 5), [4, 4, 4, 4]),  # empty intervals give the frame below
    ],
)
def test_middle_frames(parts, expected) -> None:
    assert middle_frames(parts) == expected


@given(st.integers(1, 40), st.integers(0, 500), st.integers(1, 500))
def test_intervals_tile_the_stretch(count: int, start: int, length: int) -> None:
    parts = intervals(count, start, start + length)
    assert parts[0][0] == start and parts[-1][1] == start + length - 1
    assert all(after[0] == before[1] + 1 for before, after in pairwise(parts))


def test_official_draws_leave_the_last_frame_out_and_inclusive_ones_do_not() -> None:
    draw = drawer(np.random.default_rng(0))
    parts = [(3, 5)]
    official = {random_frames(parts, draw)[0] for _ in range(200)}
    inclusive = {random_frames(parts, draw, "inclusive")[0] for _ in range(200)}
    assert official == {3, 4} and inclusive == {3, 4, 5}


@pytest.mark.parametrize("interval", [(4, 4), (4, 3)])
def test_short_intervals(interval: tuple[int, int]) -> None:
    draw = drawer(np.random.default_rng(0))
    with pytest.raises(EgolibError, match="frame_jitter"):
        random_frames([interval], draw)
    assert random_frames([interval], draw, "inclusive") == [4]


def test_seconds_are_truncated() -> None:
    assert seconds_to_span(0.999, 1.999, 30) == (29, 59)
    assert seconds_to_span(-1, -0.5, 30) == (0, 0)


def test_epic_intervals_round_halves_to_even() -> None:
    assert epic_intervals(0.25, 1.25, 10, 1)[0][0] == 2  # 2.5
    assert epic_intervals(0.35, 1.25, 10, 1)[0][0] == 4  # 3.5


@pytest.mark.parametrize("end, expected", [(0.0, 0), (480.0, 897 * 16)])
def test_moment_frames_of_eight_minutes(end: float, expected: int) -> None:
    frames = moment_frames(0.0, end, int(30 * end), 16)
    assert len(frames) // 16 * 16 == expected
