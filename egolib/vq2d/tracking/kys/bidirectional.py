"""Tracking both ways from a frame in the middle, for one target or many in lock step.

Legend: N frames of the track.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from egolib.video.ahead import ahead
from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.tracking.kys.target import Target, TrackStep
from egolib.vq2d.tracking.kys.tracker import KysTracker

Frames = Callable[[int], np.ndarray]
Rows = dict[int, tuple[tuple[int, int, int, int], float]]
"""Clip frame -> box (x1, y1, x2, y2) and response."""
Lane = Generator[tuple[Target, np.ndarray], TrackStep, Rows]
"""Asks for one step after the other, and ends with what it found."""


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

    def each(self, numbers: range) -> Iterator[tuple[int, np.ndarray]]:
        """The frames of a direction with their numbers."""
        pairs = ((number, self.frames(number)) for number in numbers)
        return ahead(pairs) if self.read_ahead and len(numbers) else pairs

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Corners of the start box."""
        x1, y1, x2, y2 = (int(value) for value in self.box_xyxy)
        return x1, y1, x2, y2


def track_both_ways(
    tracker: KysTracker,
    frames: Frames,
    start_frame: int,
    end_frame: int,
    box_xyxy: Sequence[int],
    seed: int,
) -> Followed:
    """Back to frame 0, then forward to ``end_frame - 1``, each until the target is lost.

    The start box is kept as it is. Boxes are truncated to integers (x, y, width, height)
    and may leave the image; the frame in which the target is lost is left out.

    Args:
        tracker: of one direction.
        frames: gives the RGB frame (H, W, 3) uint8 of a clip frame.
        start_frame: where the box is known.
        end_frame: first frame after the search window.
        box_xyxy: its corners, integers.
        seed: of the random numbers.

    Official behaviour: the second direction starts anew on the same frame with random
    numbers that follow those of the first; ``directions: same_seed`` starts both from
    one target.
    """
    return track_many(tracker, [Following(frames, start_frame, end_frame, box_xyxy, seed)])[0]


def track_many(tracker: KysTracker, todo: Sequence[Following]) -> list[Followed]:
    """The same for several targets, step by step together: equal tracks up to rounding.

    Every target goes back and then forward, as the second direction's random numbers follow
    those of the first; with ``same_seed`` both directions go at once.

    Args:
        tracker: of all of them.
        todo: what shall be followed.
    """
    lanes: list[Lane] = []
    owners: list[int] = []
    for owner, following in enumerate(todo):
        own = _lanes(tracker, following)
        lanes += own
        owners += [owner] * len(own)
    rows: list[Rows] = [{f.start_frame: (f.box, 1.0)} for f in todo]
    for owner, found in zip(owners, _in_lock_step(tracker, lanes), strict=True):
        rows[owner] |= found
    return [_followed(own) for own in rows]


def _lanes(tracker: KysTracker, following: Following) -> list[Lane]:
    """What can go on at the same time."""
    back = range(following.start_frame - 1, -1, -1)
    forth = range(following.start_frame + 1, following.end_frame)
    generator = torch.Generator().manual_seed(following.seed)
    if tracker.config.directions != "same_seed" or not forth:
        return [_one_after_the_other(tracker, following, generator, back, forth)]
    target = _start(tracker, following, generator)
    twin = target.copy(torch.Generator().set_state(generator.get_state()))
    return [_follow(target, following, back), _follow(twin, following, forth)]


def _one_after_the_other(
    tracker: KysTracker,
    following: Following,
    generator: torch.Generator,
    *directions: range,
) -> Lane:
    """Each direction from a start of its own."""
    rows: Rows = {}
    for place, numbers in enumerate(directions):
        if numbers or not place:  # the first start draws its random numbers in any case
            rows |= yield from _follow(_start(tracker, following, generator), following, numbers)
    return rows


def _start(tracker: KysTracker, following: Following, generator: torch.Generator) -> Target:
    x1, y1, x2, y2 = following.box
    box = np.array([x1, y1, x2 - x1, y2 - y1], np.float64)
    return tracker.start(following.frames(following.start_frame), box, generator)


def _follow(target: Target, following: Following, numbers: range) -> Lane:
    """One direction, until its end or until the target is lost."""
    found: Rows = {}
    for number, frame in following.each(numbers):
        step = yield target, frame
        if not step.found:
            break
        x, y, width, height = (int(value) for value in step.box_xywh)
        found[number] = ((x, y, x + width, y + height), step.response)
    return found


def _in_lock_step(tracker: KysTracker, lanes: Sequence[Lane]) -> list[Rows]:
    """Takes one step of all lanes that go on, until none does."""
    finished: dict[int, Rows] = {}
    asked: dict[int, tuple[Target, np.ndarray]] = {}

    def advance(number: int, step: TrackStep | None) -> None:
        try:
            asked[number] = lanes[number].send(step)  # type: ignore[arg-type]
        except StopIteration as end:
            finished[number] = end.value

    for number in range(len(lanes)):
        advance(number, None)
    while asked:
        numbers = list(asked)
        targets, frames = zip(*asked.values(), strict=True)
        asked.clear()
        for number, step in zip(numbers, tracker.step_all(targets, frames), strict=True):
            advance(number, step)
    return [finished[number] for number in range(len(lanes))]


def _followed(rows: Rows) -> Followed:
    numbers = sorted(rows)
    return Followed(
        np.array([[number, *rows[number][0]] for number in numbers], np.int64),
        np.array([rows[number][1] for number in numbers]),
    )
