"""A room: five stations on a long strip, slots for objects, and the objects themselves.

Coordinates are world pixels, x to the right, y down; a slot is where the bottom
centre of an object stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.catalog import CLASSES, CONTAINERS, HUES, STATIONS
from egolib.world.settings import ROOM_WIDTH, WorldSettings

Point = tuple[float, float]

# width and height of each silhouette at scale 1
SIZES = {
    "mug": (42, 40),
    "jar": (36, 48),
    "pan": (56, 32),
    "box": (44, 42),
    "ball": (38, 38),
    "plate": (54, 30),
}
# heights of the rows of slots at each station
ROWS = {
    "sink": (196,),
    "stove": (190,),
    "table": (184, 236),
    "shelf": (98, 164),
    "window": (178,),
}
SLOT_PITCH = 58.0
FILLED_FRACTION = 0.25  # of the containers, when a video begins
STATION_PITCH = ROOM_WIDTH / len(STATIONS)


@dataclass(frozen=True)
class Slot:
    """A place for one object."""

    index: int
    station: str
    x: float
    y: float


@dataclass(frozen=True)
class Instance:
    """One object: its class, and what tells it from others of its class.

    Args:
        class_index: position in ``catalog.CLASSES``.
        hue: colour name.
        texture_seed: decides angle, phase and period of the texture.
        scale: size factor.
    """

    index: int
    class_index: int
    hue: str
    texture_seed: int
    scale: float

    @property
    def silhouette(self) -> str:
        return CLASSES[self.class_index].silhouette

    @property
    def texture(self) -> str:
        return CLASSES[self.class_index].texture

    @property
    def is_container(self) -> bool:
        return self.silhouette in CONTAINERS

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        width, height = SIZES[self.silhouette]
        return width * self.scale, height * self.scale


@dataclass(frozen=True)
class Room:
    """What does not change during a video.

    Args:
        station_x: centre of each station.
        slots: all places for objects.
        instances: all objects.
        home: the slot of each object when the video begins, -1 for those in a container.
        inside: the container of each object at that time, or -1.
        fixtures: position (centre) of the tap and of the lamp.
        opened: containers that are open at that time.
        on: fixtures that are on at that time.
        paint_seed: decides colours and noise of wall, counter and floor.
    """

    station_x: dict[str, float]
    slots: tuple[Slot, ...]
    instances: tuple[Instance, ...]
    home: tuple[int, ...]
    inside: tuple[int, ...]
    fixtures: dict[str, Point]
    opened: tuple[int, ...]
    on: tuple[str, ...]
    paint_seed: int

    def station_of_fixture(self, name: str) -> str:
        """The station nearest to a fixture."""
        x = self.fixtures[name][0]
        return min(self.station_x, key=lambda s: abs(self.station_x[s] - x))


def make_room(settings: WorldSettings, rng: np.random.Generator) -> Room:
    """Draws a room with its objects."""
    order = [STATIONS[i] for i in rng.permutation(len(STATIONS))]
    station_x = {name: (i + 0.5) * STATION_PITCH for i, name in enumerate(order)}
    slots = _slots(station_x)
    instances = _instances(settings, rng)
    inside = _contents(instances, rng)
    home = rng.choice(len(slots), len(instances), replace=False)
    lamp_station = STATIONS[rng.integers(len(STATIONS))]
    lamp_side = float(rng.choice([-88.0, 88.0]))
    fixtures = {
        "tap": (station_x["sink"] + float(rng.choice([-88.0, 88.0])), 168.0),
        "lamp": (station_x[lamp_station] + lamp_side, 132.0),
    }
    if abs(fixtures["tap"][0] - fixtures["lamp"][0]) < 70:  # never one behind the other
        fixtures["lamp"] = (fixtures["lamp"][0] - 2 * lamp_side, 132.0)
    return Room(
        station_x,
        slots,
        instances,
        tuple(-1 if box >= 0 else int(slot) for slot, box in zip(home, inside, strict=True)),
        inside,
        fixtures,
        tuple(i.index for i in instances if i.is_container and rng.random() < 0.5),
        tuple(name for name in fixtures if rng.random() < 0.5),
        int(rng.integers(2**31)),
    )


def _contents(instances: tuple[Instance, ...], rng: np.random.Generator) -> tuple[int, ...]:
    """Some containers hold an object from the start, about as many as at any later time."""
    inside = [-1] * len(instances)
    loose = [i.index for i in instances if not i.is_container]
    for box in instances:
        if box.is_container and loose and rng.random() < FILLED_FRACTION:
            inside[loose.pop(int(rng.integers(len(loose))))] = box.index
    return tuple(inside)


def _slots(station_x: dict[str, float]) -> tuple[Slot, ...]:
    places = [
        (station, x + dx * SLOT_PITCH, float(y))
        for station, x in station_x.items()
        for y in ROWS[station]
        for dx in (-1, 0, 1)
    ]
    return tuple(Slot(i, *place) for i, place in enumerate(places))


def _instances(settings: WorldSettings, rng: np.random.Generator) -> tuple[Instance, ...]:
    """``instances_per_class`` objects of each of some classes, at least one a container."""
    chosen = rng.permutation(len(CLASSES))[: settings.classes_per_room]
    while not any(CLASSES[c].silhouette in CONTAINERS for c in chosen):
        chosen = rng.permutation(len(CLASSES))[: settings.classes_per_room]
    hues = list(HUES)
    instances: list[Instance] = []
    for class_index in chosen:
        first_hue = int(rng.integers(len(hues)))
        for copy in range(settings.instances_per_class):
            shift = 0 if rng.random() < settings.same_hue_fraction else rng.integers(1, len(hues))
            hue = hues[(first_hue + (int(shift) if copy else 0)) % len(hues)]
            instances.append(
                Instance(
                    len(instances),
                    int(class_index),
                    hue,
                    int(rng.integers(2**31)),
                    float(rng.uniform(0.88, 1.15)),
                )
            )
    return tuple(instances)
