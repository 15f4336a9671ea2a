"""Tracks that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from egolib.vq2d.localization.track_cache import LateTracker, RememberedTracks
from egolib.vq2d.localization.tracks import Followed


class Counting:
    """A tracker that stays where it started."""

    calls = 0

    def follow(self, frames, start_frame, end_frame, box_xyxy, seed):
        self.calls += 1
        return Followed(np.array([[start_frame, *box_xyxy]]), np.array([0.25]))


def ask(tracker, path: Path, identity: str, start: int = 3, earlier: Path | None = None):
    return RememberedTracks(tracker, path, identity, earlier).follow(
        None, start, 9, [1, 2, 3, 4], 0
    )


def test_tracks_are_remembered_for_the_same_tracker(tmp_path: Path) -> None:
    tracker, path = Counting(), tmp_path / "a_1.json"
    for _ in range(2):
        found = ask(tracker, path, "one")
        assert found.rows.tolist() == [[3, 1, 2, 3, 4]] and found.responses.tolist() == [0.25]
    assert tracker.calls == 1
    ask(tracker, path, "one", start=4)
    assert tracker.calls == 2
    ask(tracker, path, "other")
    assert tracker.calls == 3


def test_an_earlier_file_is_read_and_never_written(tmp_path: Path) -> None:
    tracker, first, second = Counting(), tmp_path / "first.json", tmp_path / "second.json"
    ask(tracker, first, "one")
    before = first.read_bytes()
    ask(tracker, second, "one", earlier=first)
    assert tracker.calls == 1 and not second.exists()
    ask(tracker, second, "one", start=5, earlier=first)
    assert tracker.calls == 2 and second.is_file() and first.read_bytes() == before


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
