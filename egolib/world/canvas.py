"""The room as one long picture: background, furniture, fixtures and resting objects.

Only what changes is painted again; every frame is then one warp of this picture.
Pixels are canvas pixels: world pixels times the settings' ``scale``.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from egolib.world.room import ROWS, Room
from egolib.world.settings import ROOM_HEIGHT, ROOM_WIDTH, WorldSettings
from egolib.world.sprites import Colour, Sprite, lamp_sprite, object_sprite, tap_sprite
from egolib.world.streams import stream

HAND = 255  # label of the wearer's hand
LID_STEPS = 5  # pictures between a closed and an open lid
COUNTER_Y, FLOOR_Y = 182, 262


class Art:
    """The sprites of one room, made on first use."""

    def __init__(self, settings: WorldSettings, room: Room):
        self.room, self.scale = room, settings.scale
        self.period = settings.texture_period * settings.size_factor
        self.object = cache(self._object)
        self.fixture = cache(self._fixture)

    def _object(self, index: int, step: int = 0) -> Sprite:
        openness = step / (LID_STEPS - 1)
        return object_sprite(self.room.instances[index], openness, self.scale, self.period)

    def _fixture(self, name: str, on: bool) -> Sprite:
        return (tap_sprite if name == "tap" else lamp_sprite)(on, self.scale)


class Canvas:
    """The picture and the label map of the room's resting things.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8, 0 for background, else entity index + 1.
    """

    def __init__(self, settings: WorldSettings, room: Room, art: Art):
        self.scale, self.art = settings.scale, art
        self.base = paint_room(settings, room)
        self.front = _overlay(settings, room)
        self.image = self.base.copy()
        self.labels = np.zeros(self.image.shape[:2], np.uint8)
        self.things: dict[int, tuple[Sprite, float, float]] = {}
        _stamp(self.image, self.labels, self.front, 0.0, 0.0, 0)

    def place(self, entity: int, sprite: Sprite, x: float, y: float) -> None:
        """Puts a thing with its anchor at a world point, replacing an earlier one.

        Args:
            entity: name of the thing.
            sprite: its picture.
            x: of the anchor, in world pixels.
            y: of the anchor, in world pixels.
        """
        self.remove(entity)
        self.things[entity] = (sprite, x, y)
        self._repaint(sprite, x, y)

    def remove(self, entity: int) -> None:
        """Takes a thing away; nothing happens when it is not there."""
        if entity in self.things:
            self._repaint(*self.things.pop(entity))

    def _repaint(self, sprite: Sprite, x: float, y: float) -> None:
        x0, y0, x1, y1 = self._bounds(sprite, x, y)
        image = self.base[y0:y1, x0:x1].copy()
        labels = np.zeros(image.shape[:2], np.uint8)
        order = sorted(self.things.items(), key=lambda item: (item[1][2], item[0]))
        for entity, (other, ox, oy) in order:
            _stamp(image, labels, other, ox * self.scale - x0, oy * self.scale - y0, entity + 1)
        _stamp(image, labels, self.front, -float(x0), -float(y0), 0)
        self.image[y0:y1, x0:x1] = image
        self.labels[y0:y1, x0:x1] = labels

    def _bounds(self, sprite: Sprite, x: float, y: float) -> tuple[int, int, int, int]:
        height, width = self.image.shape[:2]
        left = round(x * self.scale - sprite.anchor[0])
        top = round(y * self.scale - sprite.anchor[1])
        return (
            min(max(left, 0), width),
            min(max(top, 0), height),
            min(max(left + sprite.rgba.shape[1], 0), width),
            min(max(top + sprite.rgba.shape[0], 0), height),
        )


def _stamp(
    image: np.ndarray, labels: np.ndarray, sprite: Sprite, x: float, y: float, label: int
) -> None:
    """Paints a sprite with its anchor at a picture point, without resampling."""
    left, top = round(x - sprite.anchor[0]), round(y - sprite.anchor[1])
    x0, y0 = max(left, 0), max(top, 0)
    x1 = min(left + sprite.rgba.shape[1], image.shape[1])
    y1 = min(top + sprite.rgba.shape[0], image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = sprite.rgba[y0 - top : y1 - top, x0 - left : x1 - left]
    blend(image[y0:y1, x0:x1], part)
    labels[y0:y1, x0:x1][part[..., 3] > 127] = label


def blend(image: np.ndarray, rgba: np.ndarray) -> None:
    """Lays a premultiplied (h, w, 4) picture over an (h, w, 3) one, in place."""
    keep = 255 - rgba[..., 3:].astype(np.uint16)
    image[:] = ((image * keep + 127) // 255 + rgba[..., :3]).astype(np.uint8)


# ---------------------------------------------------------------------- background


def paint_room(settings: WorldSettings, room: Room) -> np.ndarray:
    """(H, W, 3) uint8: wall, counter, floor, stations, coloured noise."""
    rng = stream("paint", room.paint_seed)
    scale = settings.scale
    width, height = round(ROOM_WIDTH * scale), round(ROOM_HEIGHT * scale)
    image = np.empty((height, width, 3), np.float32)
    wall, counter, floor = (_muted(rng, low) for low in (168, 128, 92))
    image[:] = wall
    image[round(COUNTER_Y * scale) :] = counter
    image[round(FLOOR_Y * scale) :] = floor
    image[round(COUNTER_Y * scale) : round((COUNTER_Y + 5) * scale)] += 26
    for station, x in room.station_x.items():
        _FURNITURE[station](image, x, scale, rng)
    result: np.ndarray = np.clip(image + _cloud(rng, image.shape, scale), 0, 255).astype(np.uint8)
    return result


def _muted(rng: np.random.Generator, level: int) -> np.ndarray:
    return level + rng.uniform(-16, 16, 3) + rng.uniform(-8, 8)


def _cloud(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Coloured noise of two grain sizes."""
    noise = np.zeros(shape, np.float32)
    for grain, strength in ((40.0, 7.0), (9.0, 4.0)):
        size = (max(2, int(shape[1] / grain / scale)), max(2, int(shape[0] / grain / scale)))
        coarse = rng.normal(0, strength, (size[1], size[0], 3)).astype(np.float32)
        noise += cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return noise


def _block(
    image: np.ndarray, box: tuple[float, float, float, float], colour: Colour, scale: float
) -> None:
    x0, y0, x1, y1 = (max(0, round(v * scale)) for v in box)
    image[y0:y1, x0:x1] = colour


def _sink(image: np.ndarray, x: float, scale: float, rng: np.random.Generator) -> None:
    _block(image, (x - 92, 200, x + 92, 226), (150, 156, 164), scale)
    _block(image, (x - 84, 206, x + 84, 220), (104, 112, 122), scale)
    for i in range(6):  # tiles
        _block(image, (x - 92 + 31 * i, 112, x - 64 + 31 * i, 140), (176, 188, 192), scale)


def _stove(image: np.ndarray, x: float, scale: float, rng: np.random.Generator) -> None:
    _block(image, (x - 90, 190, x + 90, 258), (66, 66, 72), scale)
    for i in range(3):
        _block(image, (x - 80 + 58 * i, 190, x - 36 + 58 * i, 196), (26, 26, 28), scale)
        _block(image, (x - 66 + 58 * i, 206, x - 52 + 58 * i, 218), (190, 190, 186), scale)


def _table(image: np.ndarray, x: float, scale: float, rng: np.random.Generator) -> None:
    _block(image, (x - 96, 184, x + 96, 246), (146, 106, 70), scale)
    for y in (198, 214, 230):
        _block(image, (x - 96, y, x + 96, y + 2), (124, 88, 58), scale)
    for side in (-88, 76):
        _block(image, (x + side, 246, x + side + 12, 300), (112, 80, 52), scale)


def _shelf(image: np.ndarray, x: float, scale: float, rng: np.random.Generator) -> None:
    _block(image, (x - 94, 36, x + 94, 178), (122, 116, 110), scale)
    for y in ROWS["shelf"]:
        _block(image, (x - 94, y, x + 94, y + 7), (92, 70, 52), scale)


def _window(image: np.ndarray, x: float, scale: float, rng: np.random.Generator) -> None:
    _block(image, (x - 80, 36, x + 80, 170), (214, 210, 202), scale)
    _block(image, (x - 72, 44, x - 4, 162), (164, 200, 226), scale)
    _block(image, (x + 4, 44, x + 72, 162), (160, 198, 226), scale)
    _block(image, (x - 90, 170, x + 90, 180), (226, 222, 214), scale)


_FURNITURE = {
    "sink": _sink,
    "stove": _stove,
    "table": _table,
    "shelf": _shelf,
    "window": _window,
}


def _overlay(settings: WorldSettings, room: Room) -> Sprite:
    """Things that hang in front of some slots: stems with leaves."""
    rng = stream("overlay", room.paint_seed)
    scale = settings.scale
    shape = (round(ROOM_HEIGHT * scale), round(ROOM_WIDTH * scale), 4)
    picture = np.zeros(shape, np.uint8)
    for index in rng.choice(len(room.slots), 3, replace=False):
        slot = room.slots[index]
        x = (slot.x + rng.uniform(-16, 16)) * scale
        top, end = (slot.y - 64) * scale, (slot.y - rng.uniform(4, 16)) * scale
        green = (64 + int(rng.integers(40)), 110 + int(rng.integers(40)), 60, 255)
        cv2.line(
            picture, (round(x), round(top)), (round(x), round(end)), green, max(1, round(2 * scale))
        )
        for y in np.arange(top + 6 * scale, end, 9 * scale):
            side = rng.choice([-1, 1]) * 4 * scale
            centre = (round(x + side), round(y))
            axes = (max(1, round(5 * scale)), max(1, round(3 * scale)))
            cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, green, -1)
    return Sprite(picture, (0.0, 0.0), 0)
