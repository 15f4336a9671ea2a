"""What moves during an action: poses of the object, the hand and the tool at a phase.

All functions take a phase u in [0, 1] that runs from the hand's entry to its exit.
The second verb of a reversal pair is the first one with u replaced by 1 - u, so
both show the same frames in opposite order. The other actions look alike in both
directions. Positions are relative: object offsets to its place, hand offsets to
the target point; world pixels, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.catalog import REVERSAL, SECOND_VERBS, TOOLS
from egolib.world.script import NONE, Event

CONTACT = (0.3, 0.7)  # the hand is at the target between these phases
ENTRY = (34.0, 118.0)  # where the hand comes from, relative to the target
GRIP_PHASE = 0.4  # when a taken object starts to move
RISE = 30.0  # how high an object is lifted out of a box
GRIP_DEPTH = 9.0  # how far below the target point a gripping hand sits


@dataclass(frozen=True)
class Scene:
    """The moving parts at one instant.

    Args:
        phase: u of the forward verb, in [0, 1].
        dx: the object's offset from its place (``slot_from``, ``slot_to`` for put, the
            container's mouth).
        dy: likewise.
        angle: its rotation in degrees.
        shown: False while the object is inside its container.
        behind: the object is drawn behind its container.
        hand_x: the fist, relative to the target.
        hand_y: likewise.
        tool: name, or empty.
        openness: of the lid, 0 to 1, where the action is about one.
        on: of the fixture, where the action is about one.
    """

    phase: float
    dx: float = 0.0
    dy: float = 0.0
    angle: float = 0.0
    shown: bool = True
    behind: bool = False
    hand_x: float = 0.0
    hand_y: float = 0.0
    tool: str = ""
    openness: float = 0.0
    on: bool = False


def phase_at(event: Event, frame: float) -> float:
    """Forward phase at a frame; frames sit symmetrically inside the action."""
    u = (frame + 0.5 - event.start) / (event.end - event.start)
    u = min(max(u, 0.0), 1.0)
    return 1.0 - u if event.verb in SECOND_VERBS else u


def scene_at(event: Event, frame: float, slide: float = 0.0) -> Scene:
    """The moving parts of an action.

    Args:
        event: the action.
        frame: video frame, may lie between two.
        slide: horizontal way of a moved object.
    """
    u = phase_at(event, frame)
    verb = next((a for a, b in REVERSAL.items() if b == event.verb), event.verb)
    if verb == "take":
        return _take(event, u)
    if verb in ("open", "turn-on"):
        return _operate(event, u)
    if verb == "move":
        return _move(event, u, slide)
    if verb in TOOLS:
        return _use_tool(event, u)
    return _lift(event, u)


def _reach(event: Event, u: float) -> tuple[float, float]:
    """The empty hand: in from below, at the target during contact, out again."""
    first, last = CONTACT
    away = max(first - u, u - last, 0.0) / first
    away = away * away * (3 - 2 * away)
    return event.side * ENTRY[0] * away, GRIP_DEPTH + ENTRY[1] * away


def _take(event: Event, u: float) -> Scene:
    """Reaches, grips at u = 0.4, and leaves downwards with the object."""
    inside = event.container != NONE
    if u < GRIP_PHASE:
        away = 1 - _ease(u / GRIP_PHASE)
        x, y = event.side * ENTRY[0] * away, ENTRY[1] * away
        return Scene(u, shown=not inside, hand_x=x, hand_y=y + GRIP_DEPTH)
    away = _ease((u - GRIP_PHASE) / (1 - GRIP_PHASE))
    x, y = event.side * ENTRY[0] * away, ENTRY[1] * away
    if inside:  # up out of the box first
        x = event.side * ENTRY[0] * max(0.0, 2 * away - 1)
        y = (ENTRY[1] + RISE) * max(0.0, 2 * away - 1) - RISE * min(1.0, 2 * away)
    return Scene(u, dx=x, dy=y, behind=inside and away < 0.5, hand_x=x, hand_y=y + GRIP_DEPTH)


def _operate(event: Event, u: float) -> Scene:
    """Opens a lid or turns a fixture on while the hand is at the target."""
    x, y = _reach(event, u)
    first, last = CONTACT
    done = _ease((u - first) / (last - first))
    lift = -12.0 * np.sin(np.pi * done) if not event.fixture else 0.0
    return Scene(u, hand_x=x, hand_y=y + lift, openness=done, on=u > 0.5)


def _move(event: Event, u: float, slide: float) -> Scene:
    """Slides the object to the neighbouring slot; the target is half-way between."""
    x, y = _reach(event, u)
    first, last = CONTACT
    done = _ease((u - first) / (last - first))
    return Scene(u, dx=slide * done, hand_x=x + slide * (done - 0.5), hand_y=y)


def _lift(event: Event, u: float) -> Scene:
    """Lifts the object a little, tilts it (pour) or shakes it, and sets it down."""
    x, y = _reach(event, u)
    first, last = CONTACT
    inside = min(max((u - first) / (last - first), 0.0), 1.0)
    height = np.sin(np.pi * inside)
    if event.verb == "pour":
        angle = -event.side * 75.0 * min(1.0, 1.6 * height)
        return Scene(u, dy=-16 * height, angle=angle, hand_x=x, hand_y=y - 16 * height)
    swing = np.sin(2 * np.pi * 3 * inside) * min(1.0, 3 * height)
    return Scene(
        u,
        dx=9 * swing,
        dy=-10 * height,
        angle=9 * swing,
        hand_x=x + 9 * swing,
        hand_y=y - 10 * height,
    )


def _use_tool(event: Event, u: float) -> Scene:
    """Works on the resting object: strokes (cut), rubbing (wash) or circles (stir)."""
    x, y = _reach(event, u)
    first, last = CONTACT
    inside = min(max((u - first) / (last - first), 0.0), 1.0)
    grip = min(1.0, 4 * np.sin(np.pi * inside))
    turn = 2 * np.pi * 3 * inside
    dx, dy = {
        "cut": (0.0, 10 * np.cos(turn)),
        "wash": (13 * np.sin(turn), 4 * np.cos(2 * turn)),
        "stir": (9 * np.sin(turn), 4 * np.cos(turn)),
    }[event.verb]
    return Scene(u, hand_x=x + dx * grip, hand_y=y + dy * grip, tool=TOOLS[event.verb])


def _ease(part: float) -> float:
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)
