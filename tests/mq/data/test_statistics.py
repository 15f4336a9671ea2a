"""Numbers of a list of clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.mq.data.annotations import Clip, Moment, read_clips, select
from egolib.mq.data.statistics import COUNTS, class_counts, covered_fraction, statistics
from tests.mq.small import CLIPS


def test_nothing():
    found = statistics([])
    assert (found.clips, found.moments, found.median_moment_sec) == (0, 0, 0.0)


def test_numbers():
    found = statistics(CLIPS)
    assert (found.clips, found.videos, found.moments, found.classes) == (3, 3, 6, 3)
    assert found.median_moment_sec == 4.5
    assert found.moments_per_clip == 2
    assert class_counts(CLIPS) == {"open": 2, "wash": 2, "close": 2}


def test_odd_moments_are_counted():
    moments = (Moment("a", 1, 2), Moment("a", 1, 2), Moment("b", 5, 5), Moment("b", 8, 12))
    found = statistics([Clip("c", "v", "val", 0, 10, moments)])
    assert (found.past_end, found.without_length, found.duplicates) == (1, 1, 1)


def test_covered_fraction_counts_overlaps_once():
    moments = (Moment("a", 0, 4), Moment("b", 2, 6), Moment("c", 8, 30), Moment("d", 3, 5))
    assert covered_fraction(Clip("c", "v", "val", 0, 10, moments)) == pytest.approx(0.8)


def test_published_annotations(real_dir: Path):
    file = real_dir / "mq" / "ego4d_clip_annotations_v2.json"
    if not file.is_file():
        pytest.skip(f"no real annotations at {file}")
    clips = read_clips(file)
    for (_, subset), counts in COUNTS.items():
        found = statistics(select(clips, subset))
        assert (found.clips, found.moments) == counts
        assert found.classes == (110 if subset != "test" else 0)
