"""One video before any pixel: room, event log, camera, people, degradation.

T frames, N objects. Entities are numbered: objects 0 to N-1, then the tap, the
lamp, and the people in order of appearance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from egolib.world.camera import Camera, make_camera
from egolib.world.catalog import CLASSES, FIXTURES, PEOPLE
from egolib.world.degrade import Degradation, make_degradation
from egolib.world.gaze import Fixation
from egolib.world.motion import scene_at
from egolib.world.room import Room, make_room
from egolib.world.script import NONE, Event, State, first_state, target, write_script
from egolib.world.settings import SPLITS, WorldSettings
from egolib.world.streams import stream, uid

PERSON_WIDTH, PERSON_HEIGHT = 56.0, 165.0
PERSON_FEET_Y = 296.0
FIXTURE_SIZE = (40.0, 52.0)


@dataclass(frozen=True)
class Person:
    """Somebody who walks past during frames ``start`` to ``end`` (exclusive)."""

    kind: str
    start: int
    end: int
    x_from: float
    x_to: float

    def x(self, frame: Any) -> Any:
        """World x of the feet at a frame (a number or an array)."""
        return self.x_from + (self.x_to - self.x_from) * (frame - self.start) / (
            self.end - self.start
        )


@dataclass(frozen=True)
class Episode:
    """Everything that decides a video.

    Args:
        split: ``train``, ``val`` or ``test``.
        index: of the video in its split.
        uid: its UUID-shaped name.
        states: the room's state before each event, then the last one.
    """

    settings: WorldSettings
    split: str
    index: int
    uid: str
    room: Room
    events: tuple[Event, ...]
    fixations: tuple[Fixation, ...]
    camera: Camera
    people: tuple[Person, ...]
    degradation: Degradation
    states: tuple[State, ...]

    @property
    def key(self) -> tuple[str | int, ...]:
        """The first parts of this video's random keys."""
        return (*self.settings.key(), self.split, self.index)

    @property
    def entities(self) -> list[str]:
        """Names: ``striped_mug``, …, ``tap``, ``lamp``, ``man``, …"""
        objects = [CLASSES[i.class_index].name for i in self.room.instances]
        return [*objects, *FIXTURES, *(p.kind for p in self.people)]

    def sec(self, frame: float) -> float:
        """Time of a frame border."""
        return frame / self.settings.fps


def video_keys(settings: WorldSettings) -> list[tuple[str, int]]:
    """(split, index) of all videos, in order."""
    return [(split, i) for split in SPLITS for i in range(settings.videos(split))]


def video_uid(settings: WorldSettings, split: str, index: int) -> str:
    """The name of a video.

    Args:
        settings: of the world.
        split: ``train``, ``val`` or ``test``.
        index: of the video in its split.
    """
    return uid(*settings.key(), split, index, "video")


def make_episode(settings: WorldSettings, split: str, index: int) -> Episode:
    """Simulates one video; fast (tens of milliseconds), no pixels.

    Args:
        settings: of the world.
        split: ``train``, ``val`` or ``test``.
        index: of the video in its split.
    """
    key = (*settings.key(), split, index)
    room = make_room(settings, stream(*key, "room"))
    events, fixations = write_script(settings, room, stream(*key, "script"))
    camera = make_camera(settings, fixations, stream(*key, "camera"))
    people = _people(settings, camera, stream(*key, "people"))
    states = _states(room, events)
    boxes = _sketch(settings, room, tuple(events), states, camera, people)
    fractions = clipped_fraction(settings, boxes[:, : len(room.instances)])
    return Episode(
        settings,
        split,
        index,
        video_uid(settings, split, index),
        room,
        tuple(events),
        tuple(fixations),
        camera,
        people,
        make_degradation(settings, camera, fractions, stream(*key, "degradation")),
        states,
    )


def _people(
    settings: WorldSettings, camera: Camera, rng: np.random.Generator
) -> tuple[Person, ...]:
    """People who cross the place that the camera looks at."""
    wanted = rng.poisson(settings.people_per_minute * settings.video_sec / 60)
    people: list[Person] = []
    for _ in range(wanted):
        length = int(rng.uniform(2.0, 4.5) * settings.fps)
        start = int(rng.integers(0, settings.frames - length))
        if any(start < p.end + settings.fps and p.start < start + length for p in people):
            continue
        middle = camera.x[start + length // 2]
        way = float(rng.uniform(90, 150)) * float(rng.choice([-1, 1]))
        kind = PEOPLE[rng.integers(len(PEOPLE))]
        people.append(Person(kind, start, start + length, middle - way, middle + way))
    return tuple(sorted(people, key=lambda p: p.start))


def _states(room: Room, events: list[Event]) -> tuple[State, ...]:
    state = first_state(room)
    states = [state.copy()]
    for event in events:
        state.apply(event)
        states.append(state.copy())
    return tuple(states)


# ------------------------------------------------------------------------ geometry


def resting_place(room: Room, state: State, obj: int) -> tuple[float, float] | None:
    """Bottom centre of a resting object; None inside a box or in the hand.

    Args:
        room: where things stand.
        state: of the things at that moment.
        obj: the object.
    """
    slot = state.slot[obj]
    return None if slot == NONE else (room.slots[slot].x, room.slots[slot].y)


def moving_place(
    room: Room, state: State, event: Event, frame: float
) -> tuple[float, float] | None:
    """Bottom centre of the object of an action at a frame; None while it is hidden.

    Args:
        room: where things stand.
        state: of the things before the action.
        event: the action.
        frame: of the video.
    """
    scene = scene_at(event, frame, slide_of(room, event))
    if not scene.shown:
        return None
    if event.container != NONE:
        mouth = target(room, event, state)
        base = (mouth[0], mouth[1] + room.instances[event.obj].size[1] / 2)
    else:
        slot = event.slot_to if event.verb == "put" else event.slot_from
        base = (room.slots[slot].x, room.slots[slot].y)
    return base[0] + scene.dx, base[1] + scene.dy


def slide_of(room: Room, event: Event) -> float:
    """Horizontal way of a moved object."""
    if event.verb != "move":
        return 0.0
    return room.slots[event.slot_to].x - room.slots[event.slot_from].x


def sketch_boxes(episode: Episode) -> np.ndarray:
    """(T, E, 4) whole upright boxes in view pixels, unclipped, from the log alone.

    Entities that are hidden in a box, in the hand or not there are NaN.
    """
    return _sketch(
        episode.settings,
        episode.room,
        episode.events,
        episode.states,
        episode.camera,
        episode.people,
    )


def _sketch(
    settings: WorldSettings,
    room: Room,
    events: tuple[Event, ...],
    states: tuple[State, ...],
    camera: Camera,
    people: tuple[Person, ...],
) -> np.ndarray:
    frames = settings.frames
    still = [room.fixtures[name] for name in FIXTURES]
    fixed = np.array([(x, y + FIXTURE_SIZE[1] / 2) for x, y in still])
    walking = np.full((frames, len(people), 2), np.nan)
    for i, person in enumerate(people):
        span = np.arange(person.start, person.end)
        walking[span, i, 0], walking[span, i, 1] = person.x(span), PERSON_FEET_Y
    places = np.concatenate(
        [
            _object_places(settings, room, events, states),
            np.broadcast_to(fixed, (frames, *fixed.shape)),
            walking,
        ],
        axis=1,
    )
    sizes = [i.size for i in room.instances]
    sizes += [FIXTURE_SIZE] * len(still) + [(PERSON_WIDTH, PERSON_HEIGHT)] * len(people)
    return _project(settings, camera, places, np.array(sizes))


def _object_places(
    settings: WorldSettings,
    room: Room,
    events: tuple[Event, ...],
    states: tuple[State, ...],
) -> np.ndarray:
    """(T, N, 2) bottom centres of the objects in the world; NaN while hidden."""
    count = len(room.instances)
    places = np.full((settings.frames, count, 2), np.nan)
    borders = [0, *(e.end for e in events), settings.frames]
    for state, first, last in zip(states, borders[:-1], borders[1:], strict=True):
        for obj in range(count):
            place = resting_place(room, state, obj)
            if place is not None:
                places[first:last, obj] = place
    for state, event in zip(states, events, strict=False):
        if event.obj == NONE:
            continue
        for frame in range(event.start, event.end):
            place = moving_place(room, state, event, frame)
            places[frame, event.obj] = place if place is not None else np.nan
    return places


def _project(
    settings: WorldSettings, camera: Camera, places: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """View boxes around the four turned corners of upright world boxes."""
    scale = camera.zoom * settings.scale
    cosine = (scale * np.cos(np.radians(camera.roll)))[:, None]
    sine = (scale * np.sin(np.radians(camera.roll)))[:, None]
    x = places[..., 0] - camera.x[:, None]
    y = places[..., 1] - sizes[:, 1] / 2 - camera.y[:, None]
    centre_x = cosine * x - sine * y + settings.view_width / 2
    centre_y = sine * x + cosine * y + settings.view_height / 2
    half_width = (np.abs(cosine) * sizes[:, 0] + np.abs(sine) * sizes[:, 1]) / 2
    half_height = (np.abs(sine) * sizes[:, 0] + np.abs(cosine) * sizes[:, 1]) / 2
    return np.stack(
        [
            centre_x - half_width,
            centre_y - half_height,
            centre_x + half_width,
            centre_y + half_height,
        ],
        axis=-1,
    )


def clipped_fraction(settings: WorldSettings, boxes: np.ndarray) -> np.ndarray:
    """(T, N) fraction of each box inside the view; 0 for hidden objects."""
    limit = np.array([settings.view_width, settings.view_height] * 2)
    inside = np.clip(np.nan_to_num(boxes, nan=-1.0), 0, limit)
    sides = np.nan_to_num(boxes[..., 2:] - boxes[..., :2], nan=1.0)
    kept = inside[..., 2:] - inside[..., :2]
    result: np.ndarray = kept.prod(-1) / sides.prod(-1)
    return result
