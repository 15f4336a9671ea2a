"""Frames from an episode, and what is visible in them.

Each frame is a warp of the room's canvas plus the few moving sprites; in saccades
it is the mean over the true camera path during the exposure. Labels are drawn
with the same maps, so boxes and masks come from what is really visible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from egolib.world.camera import matrix
from egolib.world.canvas import HAND, LID_STEPS, Art, Canvas, blend
from egolib.world.catalog import FIXTURES
from egolib.world.degrade import NOISE_FRAMES
from egolib.world.episode import PERSON_FEET_Y, Episode, moving_place, resting_place, slide_of
from egolib.world.motion import Scene, scene_at
from egolib.world.script import NONE, Event, State, target
from egolib.world.sprites import Colour, Sprite, hand_sprite, person_sprite
from egolib.world.streams import stream

BLUR_STEP = 2.5  # view pixels between two sub-samples of one exposure
Matrix = np.ndarray


@dataclass(frozen=True)
class Frame:
    """One rendered frame.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8: 0 background, entity index + 1, ``HAND``.
        whole: (entities,) area in view pixels that each would have unhidden and
            unclipped; 0 for what is not in the scene.
    """

    image: np.ndarray
    labels: np.ndarray
    whole: np.ndarray


@dataclass(frozen=True)
class Part:
    """A moving sprite at one instant; x, y are where its anchor is, in world pixels."""

    sprite: Sprite
    x: float
    y: float
    angle: float
    label: int
    pivot: float = 0.0


class Renderer:
    """Draws the frames of an episode in order."""

    def __init__(self, episode: Episode):
        self.episode, self.settings = episode, episode.settings
        self.art = Art(episode.settings, episode.room)
        self.canvas = Canvas(episode.settings, episode.room, self.art)
        rng = stream(*episode.key, "looks")
        tone = rng.uniform(0.72, 1.08)
        self.skin: Colour = tuple(int(min(255, c * tone)) for c in (224, 178, 146))  # type: ignore[assignment]
        self.sleeve: Colour = tuple(int(c) for c in rng.integers(50, 190, 3))  # type: ignore[assignment]
        self.noise = _noise_images(episode)
        self._hands: dict[tuple[int, str], Sprite] = {}
        self._people = [person_sprite(p.kind, self.settings.scale) for p in episode.people]
        self._next = 0  # next event whose end the canvas has not seen
        self._active: Event | None = None
        for obj in range(len(episode.room.instances)):
            self._place(obj, episode.states[0])
        for name in FIXTURES:
            self._place_fixture(name, episode.states[0])

    def frames(self) -> Iterator[Frame]:
        """All frames of the video."""
        for frame in range(self.settings.frames):
            self._follow(frame)
            yield self._draw(frame)

    # ------------------------------------------------------------- canvas upkeep

    def _follow(self, frame: int) -> None:
        """Brings the canvas to a frame: moving things off it, settled things onto it."""
        events, states = self.episode.events, self.episode.states
        if self._active is not None and frame >= self._active.end:
            self._settle(self._active, states[self._next + 1])
            self._active, self._next = None, self._next + 1
        waiting = self._active is None and self._next < len(events)
        if waiting and frame >= events[self._next].start:
            self._active = events[self._next]
            self._lift_off(self._active)

    def _lift_off(self, event: Event) -> None:
        if event.fixture:
            self.canvas.remove(self._entity(event.fixture))
        else:
            self.canvas.remove(event.obj)
        if event.container != NONE:
            self.canvas.remove(event.container)

    def _settle(self, event: Event, state: State) -> None:
        if event.fixture:
            self._place_fixture(event.fixture, state)
        else:
            self._place(event.obj, state)
        if event.container != NONE:
            self._place(event.container, state)

    def _place(self, obj: int, state: State) -> None:
        place = resting_place(self.episode.room, state, obj)
        if place is not None:
            step = LID_STEPS - 1 if obj in state.opened else 0
            self.canvas.place(obj, self.art.object(obj, step), *place)

    def _place_fixture(self, name: str, state: State) -> None:
        sprite = self.art.fixture(name, name in state.on)
        self.canvas.place(self._entity(name), sprite, *self.episode.room.fixtures[name])

    def _entity(self, fixture: str) -> int:
        return len(self.episode.room.instances) + FIXTURES.index(fixture)

    # -------------------------------------------------------------------- drawing

    def _draw(self, frame: int) -> Frame:
        weak = self.episode.degradation
        middle = matrix(self.settings, self.episode.camera.at(frame))
        parts = self._parts(frame)
        image, labels = self._view(middle), self._label_view(middle)
        if parts:
            self._add(image, labels, parts, middle)
        times = self._exposure(frame)
        if len(times):
            image = self._integrate(times)
        if weak.sigma[frame] > 0:
            image = self._defocus(image, frame)
        image = cv2.LUT(image, _response(weak.gain[frame], weak.tint[frame]))
        image = cv2.addWeighted(image, 1.0, self.noise[weak.noise[frame]], 1.0, -128.0)
        return Frame(image, labels, self._whole(parts, frame))

    def _view(self, transform: Matrix) -> np.ndarray:
        size = (self.settings.view_width, self.settings.view_height)
        return cv2.warpAffine(self.canvas.image, transform, size, borderMode=cv2.BORDER_REFLECT_101)

    def _label_view(self, transform: Matrix) -> np.ndarray:
        size = (self.settings.view_width, self.settings.view_height)
        return cv2.warpAffine(self.canvas.labels, transform, size, flags=cv2.INTER_NEAREST)

    def _exposure(self, frame: int) -> np.ndarray:
        """Instants within the exposure; empty when the view moves too little to matter."""
        camera, weak = self.episode.camera, self.episode.degradation
        half = weak.shutter[frame] / 2
        x0, y0, *_ = camera.at(frame - half)
        x1, y1, zoom, _ = camera.at(frame + half)
        shift = float(np.hypot(x1 - x0, y1 - y0)) * zoom * self.settings.scale
        if shift < BLUR_STEP:
            return np.empty(0)
        low, high = self.settings.blur_samples
        count = int(min(max(np.ceil(shift / BLUR_STEP), low), high))
        return frame + np.linspace(-half, half, count)

    def _integrate(self, times: np.ndarray) -> np.ndarray:
        """The mean view over the exposure."""
        total = np.zeros((self.settings.view_height, self.settings.view_width, 3), np.uint16)
        for time in times:
            transform = matrix(self.settings, self.episode.camera.at(float(time)))
            image = self._view(transform)
            parts = self._parts(float(time))
            if parts:
                self._add(image, None, parts, transform)
            cv2.add(total, image, dst=total, dtype=cv2.CV_16U)
        return cv2.convertScaleAbs(total, alpha=1.0 / len(times))

    def _defocus(self, image: np.ndarray, frame: int) -> np.ndarray:
        """Isotropic blur; its width is given in world pixels."""
        sigma = self.episode.degradation.sigma[frame]
        sigma *= self.episode.camera.zoom[frame] * self.settings.scale
        size = 2 * int(np.ceil(2.6 * sigma)) + 1
        return cv2.GaussianBlur(image, (size, size), sigma)

    def _parts(self, frame: float) -> list[Part]:
        """Moving sprites, far ones first."""
        parts = self._action_parts(frame) if self._active is not None else []
        first = len(self.episode.room.instances) + len(FIXTURES) + 1
        for number, person in enumerate(self.episode.people):
            if person.start <= frame < person.end:
                step = abs(np.sin(frame * 0.7)) * 3
                sprite = self._people[number]
                parts.append(
                    Part(sprite, person.x(frame), PERSON_FEET_Y - step, 0.0, first + number)
                )
        return parts

    def _action_parts(self, frame: float) -> list[Part]:
        event, room = self._active, self.episode.room
        assert event is not None
        state = self.episode.states[self._next]
        scene = scene_at(event, frame, slide_of(room, event))
        aim = target(room, event, state)
        parts = self._object_parts(event, state, scene, frame)
        hand = self._hand(event, scene)
        parts.append(Part(hand, aim[0] + scene.hand_x, aim[1] + scene.hand_y, 0.0, HAND))
        return parts

    def _object_parts(self, event: Event, state: State, scene: Scene, frame: float) -> list[Part]:
        room = self.episode.room
        if event.fixture:
            sprite = self.art.fixture(event.fixture, scene.on)
            entity = self._entity(event.fixture)
            return [Part(sprite, *room.fixtures[event.fixture], 0.0, entity + 1)]
        parts = []
        place = moving_place(room, state, event, frame)
        if place is not None:
            step = LID_STEPS - 1 if event.obj in state.opened else 0
            if event.verb in ("open", "close"):
                step = round(scene.openness * (LID_STEPS - 1))
            height = room.instances[event.obj].size[1]
            sprite = self.art.object(event.obj, step)
            parts.append(Part(sprite, *place, scene.angle, event.obj + 1, height / 2))
        if event.container != NONE:
            slot = room.slots[state.slot[event.container]]
            sprite = self.art.object(event.container, LID_STEPS - 1)
            box = Part(sprite, slot.x, slot.y, 0.0, event.container + 1)
            parts.insert(len(parts) if scene.behind else 0, box)
        return parts

    def _hand(self, event: Event, scene: Scene) -> Sprite:
        key = (event.side, scene.tool)
        if key not in self._hands:
            self._hands[key] = hand_sprite(*key, self.sleeve, self.skin, self.settings.scale)
        return self._hands[key]

    def _add(
        self, image: np.ndarray, labels: np.ndarray | None, parts: list[Part], transform: Matrix
    ) -> None:
        for part in parts:
            _draw_part(image, labels, part, transform, self.settings.scale)

    def _whole(self, parts: list[Part], frame: int) -> np.ndarray:
        """Area of every entity at this zoom, hidden or not."""
        areas = np.zeros(len(self.episode.entities))
        for entity, (sprite, _, _) in self.canvas.things.items():
            areas[entity] = sprite.area
        for part in parts:
            if part.label != HAND:
                areas[part.label - 1] = part.sprite.area
        result: np.ndarray = areas * self.episode.camera.zoom[frame] ** 2
        return result


def _draw_part(
    image: np.ndarray,
    labels: np.ndarray | None,
    part: Part,
    transform: Matrix,
    scale: float,
) -> None:
    """Warps a sprite into the view and lays it over the image."""
    local = transform @ np.vstack([_local(part, scale), [0, 0, 1]])
    height, width = part.sprite.rgba.shape[:2]
    corners = local[:, :2] @ np.array([[0, width, width, 0], [0, 0, height, height]])
    corners += local[:, 2:]
    x0, y0 = np.maximum(np.floor(corners.min(1)), 0).astype(int)
    x1 = min(int(np.ceil(corners[0].max())) + 1, image.shape[1])
    y1 = min(int(np.ceil(corners[1].max())) + 1, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    local[:, 2] -= x0, y0
    picture = cv2.warpAffine(part.sprite.rgba, local, (x1 - x0, y1 - y0))
    blend(image[y0:y1, x0:x1], picture)
    if labels is not None:
        labels[y0:y1, x0:x1][picture[..., 3] > 127] = part.label


def _local(part: Part, scale: float) -> Matrix:
    """(2, 3) map from sprite pixels to canvas pixels, turned around the pivot."""
    angle = np.radians(part.angle)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    anchor = np.array(part.sprite.anchor)
    pivot = anchor - [0.0, part.pivot * scale]
    goal = np.array([part.x, part.y - part.pivot]) * scale
    return np.column_stack([turn, goal - turn @ pivot])


def _response(gain: float, tint: float) -> np.ndarray:
    """(256, 1, 3) look-up table of exposure and colour temperature."""
    channels = gain * np.array([1 + 0.05 * tint, 1.0, 1 - 0.05 * tint])
    table = np.arange(256.0)[:, None, None] * channels
    return np.clip(table, 0, 255).astype(np.uint8)


def _noise_images(episode: Episode) -> np.ndarray:
    """(K, H, W, 3) uint8 sensor noise around 128."""
    settings = episode.settings
    rng = stream(*episode.key, "noise")
    shape = (NOISE_FRAMES, settings.view_height, settings.view_width, 3)
    noise = rng.standard_normal(shape, dtype=np.float32) * settings.noise_sigma
    result: np.ndarray = np.clip(np.rint(noise + 128), 0, 255).astype(np.uint8)
    return result
