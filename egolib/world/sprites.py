"""Pictures of things: objects with metamer textures, fixtures, hands, tools, people.

A sprite is a premultiplied RGBA picture with an anchor. Shapes are given in world
pixels relative to the bottom centre, y down (so most y are negative).

The two textures of a silhouette are metamers: over the object's area both take
exactly the same set of grey values (the same ranks mapped to the same
distribution), so that mean, variance and every other moment agree, and a blur
wider than the period leaves nothing to tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from egolib.world.catalog import HUES
from egolib.world.room import Instance
from egolib.world.streams import stream

FINE = 4  # supersampling of outlines
MARGIN = 3.0  # world pixels around a shape
LID_ROOM = 26.0  # extra room above containers for the open lid
TEXTURE_CONTRAST = 40.0  # standard deviation in grey levels
BRIGHT_FRACTION = 0.4  # of a texture's area
OUTLINE = (38, 34, 36)

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Sprite:
    """A picture with its reference point.

    Args:
        rgba: (H, W, 4) uint8, colours premultiplied by alpha.
        anchor: (x, y) of the reference point in picture pixels.
        area: number of opaque pixels.
    """

    rgba: np.ndarray
    anchor: Point
    area: int


class Pen:
    """Draws supersampled shapes in world pixels on a transparent picture."""

    def __init__(self, left: float, top: float, right: float, bottom: float, scale: float):
        self.left, self.top, self.scale = left, top, scale
        self.width = int(np.ceil((right - left) * scale))
        self.height = int(np.ceil((bottom - top) * scale))
        self.fine = np.zeros((self.height * FINE, self.width * FINE, 4), np.uint8)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        cv2.fillPoly(self.fine, [self._pixels(points)], (*colour, 255), cv2.LINE_8)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, line: float = 0.0) -> None:
        """Filled, or a ring of width ``line``.

        Args:
            centre: (x, y).
            radii: along x and y.
            colour: RGB.
            line: width of the ring; 0 fills.
        """
        middle = self._pixels([centre])[0]
        axes = np.rint(np.array(radii) * self.scale * FINE).astype(int)
        width = max(1, round(line * self.scale * FINE)) if line else cv2.FILLED
        cv2.ellipse(self.fine, middle.tolist(), axes.tolist(), 0, 0, 360, (*colour, 255), width)

    def line(self, points: list[Point], colour: Colour, width: float) -> None:
        """A line through points.

        Args:
            points: (x, y) of every corner.
            colour: RGB.
            width: of the line.
        """
        thickness = max(1, round(width * self.scale * FINE))
        cv2.polylines(self.fine, [self._pixels(points)], False, (*colour, 255), thickness)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """A filled rectangle.

        Args:
            x0: left.
            y0: top.
            x1: right.
            y1: bottom.
            colour: RGB.
        """
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def picture(self) -> np.ndarray:
        """(H, W, 4) float32 in 0..255, premultiplied, at the final size."""
        size = (self.width, self.height)
        return cv2.resize(self.fine, size, interpolation=cv2.INTER_AREA).astype(np.float32)

    def sprite(self, anchor: Point = (0.0, 0.0)) -> Sprite:
        return finish(self.picture(), self.place(anchor))

    def place(self, point: Point) -> Point:
        """A world point in picture pixels."""
        return (point[0] - self.left) * self.scale, (point[1] - self.top) * self.scale

    def _pixels(self, points: list[Point]) -> np.ndarray:
        corner = np.array([self.left, self.top])
        result: np.ndarray = np.rint((np.array(points) - corner) * self.scale * FINE).astype(
            np.int32
        )
        return result


def finish(picture: np.ndarray, anchor: Point) -> Sprite:
    """Rounds a float picture to a sprite."""
    rgba = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return Sprite(rgba, anchor, int((rgba[..., 3] > 127).sum()))


# ------------------------------------------------------------------------ textures


def texture(
    kind: str, seed: int, shape: tuple[int, int], mask: np.ndarray, period: float
) -> np.ndarray:
    """(H, W) float32 pattern with mean 0 and variance 1 over the mask.

    Args:
        kind: ``striped`` or ``dotted``.
        seed: of angle and phases.
        shape: H, W.
        mask: (H, W) weights in 0..1.
        period: distance of stripes or rows of dots, in picture pixels.
    """
    rng = stream("texture", seed)
    angle, phases = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 2)
    wave = 2 * np.pi / (period * rng.uniform(0.94, 1.06))
    y, x = np.mgrid[: shape[0], : shape[1]]
    if kind == "striped":
        field = np.cos(wave * (x * np.cos(angle) + y * np.sin(angle)) + phases[0])
    else:  # three plane waves at 120 degrees: a hexagonal lattice of dots
        turns = angle + np.arange(3) * 2 * np.pi / 3
        shifts = (phases[0], phases[1], -phases[0] - phases[1])
        field = sum(
            np.cos(wave * (x * np.cos(t) + y * np.sin(t)) + p)
            for t, p in zip(turns, shifts, strict=True)
        )
    return _equalise(field, mask)


def _equalise(field: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Maps ranks inside the mask to a fixed two-level distribution with soft edges."""
    inside = mask > 0.5
    order = np.argsort(field[inside], kind="stable")
    fraction = np.empty(len(order))
    fraction[order] = (np.arange(len(order)) + 0.5) / max(len(order), 1)
    level = np.tanh((fraction - (1 - BRIGHT_FRACTION)) * 7.0)
    result = np.zeros(field.shape, np.float32)
    result[inside] = (level - level.mean()) / max(level.std(), 1e-9)
    return result


# ------------------------------------------------------------------------- objects


def object_sprite(instance: Instance, openness: float, scale: float, period: float) -> Sprite:
    """An object as it stands; the anchor is its bottom centre.

    Args:
        instance: which object.
        openness: of a container's lid, 0 to 1.
        scale: canvas pixels per world pixel.
        period: texture period in world pixels.
    """
    width, height = instance.size
    above = LID_ROOM if instance.is_container else MARGIN
    bounds = (-width / 2 - above, -height - above, width / 2 + above, MARGIN)
    body, trim = Pen(*bounds, scale), Pen(*bounds, scale)
    _BODIES[instance.silhouette](body, instance.scale)
    _TRIMS[instance.silhouette](trim, instance.scale, openness)
    picture = _paint(body, instance, scale, period)
    return finish(over(picture, trim.picture()), body.place((0.0, 0.0)))


def _paint(body: Pen, instance: Instance, scale: float, period: float) -> np.ndarray:
    """The textured body with its dark outline and a soft shade to the right."""
    alpha = body.picture()[..., 3] / 255.0
    jitter = stream("colour", instance.texture_seed).uniform(-9, 9, 3)
    colour = np.array(HUES[instance.hue]) * 0.86 + jitter
    pattern = texture(instance.texture, instance.texture_seed, alpha.shape, alpha, period * scale)
    rgb = colour[None, None] + TEXTURE_CONTRAST * pattern[..., None]
    rgb *= np.linspace(1.06, 0.90, alpha.shape[1])[None, :, None]
    rim = alpha - cv2.erode(alpha, np.ones((3, 3)), iterations=max(1, round(scale)))
    rim = np.clip(rim, 0, 1)[..., None]
    rgb = np.clip(rgb * (1 - rim) + np.array(OUTLINE) * rim, 0, 255)
    return np.dstack([rgb * alpha[..., None], alpha * 255]).astype(np.float32)


def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Composition of two premultiplied float pictures."""
    return above + below * (1 - above[..., 3:] / 255.0)


def _mug(pen: Pen, k: float) -> None:
    pen.ellipse((11 * k, -20 * k), (8 * k, 11 * k), OUTLINE, line=5 * k)
    pen.polygon([(-21 * k, -40 * k), (11 * k, -40 * k), (9 * k, 0), (-19 * k, 0)], OUTLINE)


def _jar(pen: Pen, k: float) -> None:
    shoulder = [(-11, -42), (11, -42), (18, -33), (18, -3), (14, 0), (-14, 0), (-18, -3)]
    pen.polygon([(x * k, y * k) for x, y in [*shoulder, (-18, -33)]], OUTLINE)


def _pan(pen: Pen, k: float) -> None:
    pen.polygon([(x * k, y * k) for x, y in [(-28, -30), (14, -30), (9, 0), (-23, 0)]], OUTLINE)
    pen.polygon([(x * k, y * k) for x, y in [(12, -28), (28, -31), (28, -24), (11, -20)]], OUTLINE)


def _box(pen: Pen, k: float) -> None:
    pen.rectangle(-22 * k, -35 * k, 22 * k, 0, OUTLINE)


def _ball(pen: Pen, k: float) -> None:
    pen.ellipse((0, -19 * k), (19 * k, 19 * k), OUTLINE)


def _plate(pen: Pen, k: float) -> None:
    pen.ellipse((0, -15 * k), (27 * k, 15 * k), OUTLINE)


def _no_trim(pen: Pen, k: float, openness: float) -> None:
    del pen, k, openness


def _mug_rim(pen: Pen, k: float, openness: float) -> None:
    del openness
    pen.line([(-20 * k, -38 * k), (10 * k, -38 * k)], (232, 228, 220), 2.4)


def _plate_ring(pen: Pen, k: float, openness: float) -> None:
    del openness
    pen.ellipse((0, -15 * k), (17 * k, 8.5 * k), (232, 228, 220), line=1.6)


def _pan_rim(pen: Pen, k: float, openness: float) -> None:
    del openness
    pen.line([(-27 * k, -28 * k), (13 * k, -28 * k)], (70, 70, 76), 2.4)


def _box_lid(pen: Pen, k: float, openness: float) -> None:
    """The lid turns up around its left edge; a dark inside shows."""
    angle = np.radians(105.0 * openness)
    hinge = np.array([-23.0 * k, -34.0 * k])
    along = np.array([np.cos(angle), -np.sin(angle)]) * 46 * k
    up = np.array([-np.sin(angle), -np.cos(angle)]) * 7 * k
    if openness > 0.05:
        pen.rectangle(-20 * k, -35 * k, 20 * k, -29 * k, (26, 22, 22))
    corners = [hinge, hinge + along, hinge + along + up, hinge + up]
    pen.polygon([(float(x), float(y)) for x, y in corners], (150, 140, 126))


def _jar_lid(pen: Pen, k: float, openness: float) -> None:
    """The lid is lifted off and leans at the right side."""
    dx, dy = 15 * k * openness, (-9 * np.sin(np.pi * openness) + 8 * openness) * k
    if openness > 0.05:
        pen.ellipse((0, -41 * k), (11 * k, 3 * k), (26, 22, 22))
    tilt = 5 * openness * k
    pen.polygon(
        [
            (-13 * k + dx, -47 * k + dy - tilt),
            (13 * k + dx, -47 * k + dy + tilt),
            (13 * k + dx, -40 * k + dy + tilt),
            (-13 * k + dx, -40 * k + dy - tilt),
        ],
        (178, 174, 168),
    )


_BODIES = {"mug": _mug, "jar": _jar, "pan": _pan, "box": _box, "ball": _ball, "plate": _plate}
_TRIMS = {
    "mug": _mug_rim,
    "jar": _jar_lid,
    "pan": _pan_rim,
    "box": _box_lid,
    "ball": _no_trim,
    "plate": _plate_ring,
}


# -------------------------------------------------------------- fixtures and people


def tap_sprite(on: bool, scale: float) -> Sprite:
    """A tap; water runs when it is on. The anchor is its knob."""
    pen = Pen(-26, -24, 26, 34, scale)
    if on:
        pen.polygon([(9, -2), (17, -2), (19, 32), (7, 32)], (170, 214, 240))
    pen.line([(-8, 30), (-8, -10), (13, -12), (13, -2)], (150, 154, 160), 7)
    pen.ellipse((-8, -14), (8, 6), (214, 66, 60) if not on else (70, 190, 120))
    return pen.sprite()


def lamp_sprite(on: bool, scale: float) -> Sprite:
    """A hanging lamp; its bulb and a halo light up when it is on. The anchor is the switch."""
    pen = Pen(-34, -70, 34, 34, scale)
    pen.line([(0, -70), (0, -16)], (60, 56, 54), 2.5)
    pen.polygon([(-9, -18), (9, -18), (22, 6), (-22, 6)], (92, 104, 128))
    pen.ellipse((0, 8), (10, 8), (255, 240, 160) if on else (84, 80, 72))
    if not on:
        return pen.sprite()
    halo = Pen(-34, -70, 34, 34, scale)
    halo.ellipse((0, 8), (24, 22), (255, 236, 150))
    glow = cv2.GaussianBlur(halo.picture(), (0, 0), 4 * scale) * 0.55
    return finish(over(glow, pen.picture()), pen.place((0.0, 0.0)))


SHIRTS = {"man": (70, 92, 150), "woman": (190, 86, 120), "boy": (104, 168, 92)}


def person_sprite(kind: str, scale: float) -> Sprite:
    """Somebody who walks past, seen from the knees up; the anchor is the middle of the feet."""
    small = 0.8 if kind == "boy" else 1.0
    pen = Pen(-32, -176, 32, 4, scale)
    skin, hair = (222, 182, 150), (84, 56, 40) if kind != "woman" else (140, 84, 40)

    def at(x: float, y: float) -> Point:
        return x * small, y * small

    pen.polygon([at(-15, 0), at(15, 0), at(17, -62), at(-17, -62)], (60, 62, 74))
    pen.polygon([at(-19, -56), at(19, -56), at(24, -122), at(-24, -122)], SHIRTS[kind])
    pen.ellipse(at(0, -140), (16 * small, 19 * small), skin)
    pen.polygon([at(-16, -144), at(16, -144), at(13, -162), at(-13, -162)], hair)
    if kind == "woman":
        pen.polygon([at(-18, -120), at(-12, -120), at(-10, -156), at(-17, -150)], hair)
        pen.polygon([at(18, -120), at(12, -120), at(10, -156), at(17, -150)], hair)
    return pen.sprite()


# -------------------------------------------------------------------- hand and tools


def hand_sprite(side: int, tool: str, sleeve: Colour, skin: Colour, scale: float) -> Sprite:
    """The wearer's forearm and fist, from below; the anchor is the middle of the fist.

    Args:
        side: the arm comes from the left (-1) or the right (1).
        tool: ``knife``, ``sponge``, ``spoon`` or empty.
        sleeve: its colour.
        skin: its colour.
        scale: canvas pixels per world pixel.
    """
    pen = Pen(-64, -44, 64, 170, scale)
    _TOOLS.get(tool, _no_tool)(pen, side)
    dark = tuple(int(c * 0.75) for c in skin)
    elbow = (side * 40.0, 165.0)
    pen.line([(0, 8), elbow], skin, 15)
    pen.line([(side * 13.0, 55.0), elbow], sleeve, 21)
    pen.ellipse((0, 0), (11, 10), skin)
    for finger in (-6, -1, 4):
        pen.line([(finger, -9), (finger, -1)], dark, 1.2)  # type: ignore[arg-type]
    return pen.sprite()


def _no_tool(pen: Pen, side: int) -> None:
    del pen, side


def _knife(pen: Pen, side: int) -> None:
    pen.polygon([(-3, -4), (-side * 16.0, -34), (-side * 8.0, -37), (5, -6)], (224, 228, 234))


def _spoon(pen: Pen, side: int) -> None:
    pen.line([(0, 0), (-side * 9.0, -26)], (168, 132, 92), 3.5)
    pen.ellipse((-side * 10.0, -31), (5, 7), (168, 132, 92))


def _sponge(pen: Pen, side: int) -> None:
    pen.rectangle(-15 - 2 * side, -16, 13 - 2 * side, -5, (240, 214, 70))
    for x, y in ((-13, -22), (3, -25), (14, -19), (-4, -19)):
        pen.ellipse((x, y), (3.2, 3.2), (246, 250, 255), line=1.0)


_TOOLS = {"knife": _knife, "spoon": _spoon, "sponge": _sponge}
