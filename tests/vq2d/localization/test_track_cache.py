"""Tracks that are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from egolib.runs.result_cache import ResultCache
from egolib.vq2d.config import LocalizeConfig
from egolib.vq2d.localization.track_cache import CachedTracker, LateTracker, tracks_key
from egolib.vq2d.localization.tracks import Followed


class Counting:
    """A tracker that stays where it started."""

    calls = 0

    def follow(self, frames, start_frame, end_frame, box_xyxy, seed):
        self.calls += 1
        return Followed(np.array([[start_frame, *box_xyxy]]), np.array([0.25]))


def ask(tracker, cache: ResultCache, start: int = 3, earlier: Path | None = None):
    return CachedTracker(tracker, cache, "a_1", earlier).follow(None, start, 9, [1, 2, 3, 4], 0)


def test_tracks_are_kept_for_the_same_tracker(tmp_path: Path) -> None:
    tracker, cache = Counting(), ResultCache(tmp_path, {"tracker": "one"})
    for _ in range(2):
        found = ask(tracker, cache)
        assert found.rows.tolist() == [[3, 1, 2, 3, 4]] and found.responses.tolist() == [0.25]
    assert tracker.calls == 1
    ask(tracker, cache, start=4)
    assert tracker.calls == 2
    ask(tracker, ResultCache(tmp_path, {"tracker": "other"}))
    assert tracker.calls == 3


def test_an_earlier_cache_is_read_and_never_written(tmp_path: Path) -> None:
    tracker, first = Counting(), ResultCache(tmp_path / "first", {})
    second = ResultCache(tmp_path / "second", {})
    ask(tracker, first)
    file, later = first.path("a_1", ".json"), second.path("a_1", ".json")
    before = file.read_bytes()
    ask(tracker, second, earlier=first.folder)
    assert tracker.calls == 1 and not later.exists()
    ask(tracker, second, start=5, earlier=first.folder)
    assert tracker.calls == 2 and later.is_file() and file.read_bytes() == before


def test_every_setting_of_the_tracker_is_in_the_key() -> None:
    base = LocalizeConfig()
    key = tracks_key(base, weights=["w"], data="d")
    changed = replace(base, kys=replace(base.kys, lost_threshold=0.2))
    assert tracks_key(changed, weights=["w"], data="d") != key
    assert tracks_key(base, weights=["v"], data="d") != key
    assert tracks_key(base, weights=["w"], data="e") != key
    other_peaks = replace(base, peaks=replace(base.peaks, width=1))
    assert tracks_key(other_peaks, weights=["w"], data="d") == key


def test_a_late_tracker_is_made_once_and_only_when_asked() -> None:
    made = []

    def make():
        made.append(Counting())
        return made[-1]

    tracker = LateTracker(make)
    assert not made
    for _ in range(2):
        tracker.follow(None, 3, 9, [1, 2, 3, 4], 0)
    assert len(made) == 1 and made[0].calls == 2
