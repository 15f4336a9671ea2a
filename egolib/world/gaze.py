"""Where the wearer looks: fixations, and the saccades between them.

The law is the same forwards and backwards in time, so that the clip of an action
and the reversed clip of its partner look alike (the guard on reversal pairs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.room import Point
from egolib.world.settings import WorldSettings

PAUSE_FRAMES = (3, 5)  # between two saccades of one long way
SHORTEST_SACCADE = 3


@dataclass(frozen=True)
class Fixation:
    """The camera rests around one point during frames ``start`` to ``end`` (exclusive).

    Args:
        x: centre of the view, world pixels.
        y: centre of the view, world pixels.
        zoom: magnification.
        roll: degrees.
        liveliness: 0 for a head at rest, 1 for ordinary movement.
    """

    start: int
    end: int
    x: float
    y: float
    zoom: float
    roll: float
    liveliness: float


def fixate(
    settings: WorldSettings, rng: np.random.Generator, start: int, end: int, target: Point
) -> Fixation:
    """A fixation with the target somewhere in the view, not in its middle.

    Args:
        settings: of the world.
        rng: random numbers.
        start: first frame.
        end: last frame.
        target: point that is looked at.
    """
    x = target[0] + rng.uniform(-48, 48)
    y = target[1] + rng.uniform(-26, 26)
    still = rng.random() < settings.still_fraction
    liveliness = rng.uniform(0.0, 0.06) if still else rng.uniform(0.5, 1.5)
    return Fixation(
        start,
        end,
        float(x),
        float(y),
        float(rng.uniform(*settings.zoom)),
        float(np.clip(rng.normal(0, settings.roll_deg / 2), -settings.roll_deg, settings.roll_deg)),
        float(liveliness),
    )


def travel(
    settings: WorldSettings, rng: np.random.Generator, start: int, origin: Point, target: Point
) -> tuple[list[Fixation], int]:
    """The way from one point to another that begins at frame ``start``.

    Args:
        settings: of the world.
        rng: random numbers.
        start: first frame.
        origin: where the way begins.
        target: where it ends.

    Returns:
        Short fixations on the way (the saccades lie in the gaps), and the frame of arrival.
    """
    distance = float(np.hypot(target[0] - origin[0], target[1] - origin[1]))
    speed = rng.uniform(*settings.saccade_px)
    longest = settings.saccade_frames[1]
    legs = max(1, int(np.ceil(distance / (speed * longest))))
    frames = int(np.clip(round(distance / legs / speed), SHORTEST_SACCADE, longest))
    stops: list[Fixation] = []
    clock = start
    for leg in range(1, legs):
        clock += frames
        pause = int(rng.integers(PAUSE_FRAMES[0], PAUSE_FRAMES[1] + 1))
        part = leg / legs
        point = tuple(a + part * (b - a) for a, b in zip(origin, target, strict=True))
        stops.append(fixate(settings, rng, clock, clock + pause, (point[0], point[1])))
        clock += pause
    return stops, clock + frames
