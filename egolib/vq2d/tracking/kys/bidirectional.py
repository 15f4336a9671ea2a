"""Tracking both ways from a frame in the middle, for one target or many in lock step.

Legend: N frames of the track.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from egolib.errors import EgolibError
from egolib.video.ahead import ahead
from egolib.vq2d.localization.together import Following
from egolib.vq2d.localization.tracks import Followed
from egolib.vq2d.tracking.kys.target import Target, TrackStep
from egolib.vq2d.tracking.kys.tracker import KysTracker

Frames = Callable[[int], np.ndarray]
Rows = dict[int, tuple[tuple[int, int, int, int], float]]
"""Clip frame -> box (x1, y1, x2, y2) and response."""
Lane = Generator[tuple[Target, np.ndarray], TrackStep, Rows]
"""Asks for one step after the other, and ends with what it found."""


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
    following = Following(frames, start_frame, end_frame, box_xyxy, seed)
    (found,) = track_many(tracker, [following])
    if isinstance(found, EgolibError):
        raise found
    return found


def track_many(tracker: KysTracker, todo: Sequence[Following]) -> list[Followed | EgolibError]:
    """The same for several targets, step by step together: equal tracks up to rounding.

    Every target goes back and then forward, as the second direction's random numbers follow
    those of the first; with ``same_seed`` both directions go at once.

    Args:
        tracker: of all of them.
        todo: what shall be followed.

    Returns:
        For each its track, or the error of its frames, which costs the others nothing.
    """
    lanes = [(owner, lane) for owner, one in enumerate(todo) for lane in _lanes(tracker, one)]
    rows: list[Rows] = [{one.start_frame: (one.box, 1.0)} for one in todo]
    errors: dict[int, EgolibError] = {}
    found = _in_lock_step(tracker, [lane for _, lane in lanes])
    for (owner, _), own in zip(lanes, found, strict=True):
        if isinstance(own, EgolibError):
            errors[owner] = own
        else:
            rows[owner] |= own
    return [errors.get(owner) or _followed(own) for owner, own in enumerate(rows)]


def _lanes(tracker: KysTracker, following: Following) -> list[Lane]:
    """What can go on at the same time."""
    back = range(following.start_frame - 1, -1, -1)
    forth = range(following.start_frame + 1, following.end_frame)
    generator = torch.Generator().manual_seed(following.seed)
    if tracker.config.directions != "same_seed" or not forth:
        return [_one_after_the_other(tracker, following, generator, back, forth)]
    try:
        target = _start(tracker, following, generator)
    except EgolibError as error:
        return [_failed(error)]
    twin = target.copy(torch.Generator().set_state(generator.get_state()))
    # both read from one clip: in turn, each with its own run of frames
    each = [replace(following, frames=copy(following.frames), read_ahead=False) for _ in range(2)]
    return [_follow(target, each[0], back), _follow(twin, each[1], forth)]


def _failed(error: EgolibError) -> Lane:
    """A lane that ends with an error before its first step."""
    raise error
    yield


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
    for number, frame in _each(following, numbers):
        step = yield target, frame
        if not step.found:
            break
        x, y, width, height = (int(value) for value in step.box_xywh)
        found[number] = ((x, y, x + width, y + height), step.response)
    return found


def _each(following: Following, numbers: range) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of a direction with their numbers."""
    pairs = ((number, following.frames(number)) for number in numbers)
    return ahead(pairs) if following.read_ahead and numbers else pairs


def _in_lock_step(tracker: KysTracker, lanes: Sequence[Lane]) -> list[Rows | EgolibError]:
    """Takes one step of all lanes that go on, until none does."""
    finished: dict[int, Rows | EgolibError] = {}
    asked: dict[int, tuple[Target, np.ndarray]] = {}

    def advance(number: int, step: TrackStep | None) -> None:
        try:
            asked[number] = lanes[number].send(step)  # type: ignore[arg-type]
        except StopIteration as end:
            finished[number] = end.value
        except EgolibError as error:
            finished[number] = error

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
