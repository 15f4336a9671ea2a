"""Which frames stand for a clip.

A clip is cut into as many intervals as frames are wanted; each gives its middle
frame, or in training a random one. Frame numbers are integers from 0; an interval
(low, high) includes both ends. ``draw(low, stop)`` gives a uniform integer of
[low, stop).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np

from egolib.errors import EgolibError

Draw = Callable[[int, int], int]
Jitter = Literal["official", "inclusive"]
Interval = tuple[int, int]


def drawer(rng: np.random.Generator) -> Draw:
    """Draws from a NumPy generator."""
    return lambda low, stop: int(rng.integers(low, stop))


# --------------------------------------------------------- Ego4D and Charades-Ego


def intervals(count: int, start: int, stop: int) -> list[Interval]:
    """``count`` consecutive intervals between two frames.

    Where there are more intervals than frames some are empty: their high end lies one
    below the low one.

    Args:
        count: how many.
        start: frame that the first one begins at.
        stop: frame that the last one ends before.
    """
    edges = np.linspace(start, stop, count + 1).astype(int).tolist()
    return [(low, high - 1) for low, high in pairwise(edges)]


def whole_video(frames: int, length: int) -> list[Interval]:
    """Intervals over a video of ``length`` frames; at most one for each frame."""
    return intervals(min(frames, length), 0, length)


def span(frames: int, start: int, end: int) -> list[Interval]:
    """Intervals between two frames of a video.

    Official behaviour: there are at most ``end`` intervals (not ``end - start``), so
    that short clips repeat frames.

    Args:
        frames: how many intervals are wanted.
        start: frame that the first one begins at.
        end: frame that the last one ends before.
    """
    return intervals(min(frames, end), start, end)


def middle_frames(parts: list[Interval]) -> list[int]:
    """The middle of each interval; one below its start where it is empty."""
    return [(low + high) // 2 for low, high in parts]


def random_frames(parts: list[Interval], draw: Draw, jitter: Jitter = "official") -> list[int]:
    """A random frame of each interval.

    Official behaviour: the last frame of an interval is never drawn, and an interval
    of one frame or none is an error, so that training clips shorter than twice the
    wanted frames cannot be read. ``inclusive`` draws every frame; empty intervals
    give their start.

    Args:
        parts: the intervals.
        draw: gives a uniform integer of ``[low, stop)``.
        jitter: ``official`` or ``inclusive``.

    Raises:
        EgolibError: an interval is too short for the official draw.
    """
    if jitter == "inclusive":
        return [draw(low, max(high, low) + 1) for low, high in parts]
    if any(high <= low for low, high in parts):
        raise EgolibError(
            "an interval of one frame: the clip is too short for the official random sampling",
            remedy="frame_jitter: inclusive reads such clips",
        )
    return [draw(low, high) for low, high in parts]


def seconds_to_span(start_sec: float, end_sec: float, fps: float) -> tuple[int, int]:
    """The frames of a stretch in seconds, truncated, at least 0.

    Args:
        start_sec: of the stretch.
        end_sec: of the stretch.
        fps: frames in a second.
    """
    return max(0, int(fps * start_sec)), max(0, int(fps * end_sec))


# --------------------------------------------------------------------- EPIC-KITCHENS


def epic_intervals(start_sec: float, stop_sec: float, fps: float, frames: int) -> list[Interval]:
    """Intervals of an EPIC-KITCHENS clip; neighbours share their ends.

    Args:
        start_sec: of the clip.
        stop_sec: of the clip.
        fps: average rate of the video file.
        frames: intervals.
    """
    start, end = round(fps * start_sec), math.ceil(fps * stop_sec)
    length = (end - start - 1) / frames
    edges = [round(length * i) + start for i in range(frames + 1)]
    return [(low, min(high, end)) for low, high in pairwise(edges)]


# -------------------------------------------------------------------- Ego4D moments

#: Windows of features in a second of video.
WINDOWS_PER_SEC = 1.87


def moment_frames(
    start_sec: float, end_sec: float, length: int, frames: int, fps: float = 30.0
) -> list[int]:
    """The frames that features of a stretch are computed from, at 1.87 windows a second.

    The stretch is cut into so many intervals that ``frames`` consecutive ones are
    1 / 1.87 s; every one gives its middle frame.

    Args:
        start_sec: of the stretch, in its video.
        end_sec: of the stretch.
        length: frames of the video.
        frames: frames in a window.
        fps: rate that is assumed; official is 30, whatever the file says.
    """
    wanted = (end_sec - start_sec) * WINDOWS_PER_SEC * frames
    return evenly(max(0.0, start_sec * fps), min(float(length), end_sec * fps), wanted)


def evenly(start: float, end: float, wanted: float) -> list[int]:
    """Middle frames of ``int(wanted + 1)`` intervals between two times in frames.

    Args:
        start: frame that the first interval begins at; may be a fraction.
        end: frame that the last one ends before; may be a fraction.
        wanted: number of intervals, minus one, before it is truncated.
    """
    edges = np.linspace(start, end, int(wanted + 1) + 1).astype(int).tolist()
    return [(low + high - 1) // 2 for low, high in pairwise(edges)]
