"""Several queries at once with one tracker that follows many targets together.

Each query is answered in a thread of its own, as if it were alone. When all of them wait for a
track, these are followed in lock step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from egolib.errors import EgolibError
from egolib.vq2d.localization.localize import Tracker
from egolib.vq2d.localization.tracks import Followed

Frames = Callable[[int], np.ndarray]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Following:
    """What shall be followed both ways.

    Args:
        frames: gives the RGB frame (H, W, 3) uint8 of a clip frame.
        start_frame: where the box is known.
        end_frame: first frame after the search window.
        box_xyxy: its corners, integers.
        seed: of the random numbers.
        read_ahead: whether frames may be asked for in another thread, before they are
            needed; then no other ``Following`` may share ``frames``.
    """

    frames: Frames
    start_frame: int
    end_frame: int
    box_xyxy: Sequence[int]
    seed: int
    read_ahead: bool = False

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Corners of the start box."""
        x1, y1, x2, y2 = (int(value) for value in self.box_xyxy)
        return x1, y1, x2, y2


@runtime_checkable
class FollowsMany(Protocol):
    """A tracker that follows many targets in less time than one after the other."""

    def follow_many(self, todo: Sequence[Following]) -> list[Followed | EgolibError]:
        """A track, or why there is none, for each; equal to single ones up to rounding."""


class _Meeting:
    """Where the threads wait for each other."""

    def __init__(self, tracker: FollowsMany, threads: int):
        self.tracker, self.going, self.lock = tracker, threads, Lock()
        self.waiting: dict[int, tuple[Following, Future[Followed]]] = {}

    def ask(self, thread: int, following: Following) -> Future[Followed]:
        """Joins those that wait; who comes last does the work of all."""
        future: Future[Followed] = Future()
        with self.lock:
            self.waiting[thread] = (following, future)
            self._work_if_all_wait()
        return future

    def leave(self) -> None:
        """A thread has ended."""
        with self.lock:
            self.going -= 1
            self._work_if_all_wait()

    def _work_if_all_wait(self) -> None:
        if not self.waiting or len(self.waiting) < self.going:
            return
        asked = [self.waiting[thread] for thread in sorted(self.waiting)]
        self.waiting.clear()
        try:
            found = self.tracker.follow_many([following for following, _ in asked])
        except BaseException as error:  # of all: out of memory, an interrupt
            for _, future in asked:
                future.set_exception(error)
            return
        for (_, future), one in zip(asked, found, strict=True):
            if isinstance(one, EgolibError):
                future.set_exception(one)
            else:
                future.set_result(one)


@dataclass(frozen=True)
class _Seat:
    """The tracker as one thread sees it."""

    meeting: _Meeting
    thread: int

    def follow(
        self, frames: Frames, start_frame: int, end_frame: int, box_xyxy: Sequence[int], seed: int
    ) -> Followed:
        following = Following(frames, start_frame, end_frame, box_xyxy, seed, read_ahead=True)
        return self.meeting.ask(self.thread, following).result()


def side_by_side(
    works: Sequence[Callable[[Tracker], Result]], tracker: FollowsMany
) -> list[Result]:
    """The results of works that each use a tracker and share nothing else, in their order.

    Args:
        works: each is called once with its tracker, in a thread of its own.
        tracker: follows what they ask for.
    """
    meeting = _Meeting(tracker, len(works))

    def run(thread: int) -> Result:
        try:
            return works[thread](_Seat(meeting, thread))
        finally:
            meeting.leave()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, range(len(works))))
