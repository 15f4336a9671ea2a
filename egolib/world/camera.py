"""The camera path: fixations joined by saccades, with drift, walking bob, roll and zoom.

T frames of the video.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.gaze import Fixation
from egolib.world.settings import ROOM_HEIGHT, ROOM_WIDTH, WorldSettings

DRIFT_SEC = 0.5  # correlation time of head movements
BOB_HZ = 1.8
ROLL_NOISE_DEG, ZOOM_NOISE = 1.2, 0.02


@dataclass(frozen=True)
class Camera:
    """Pose at every frame.

    Args:
        x: (T,) centre of the view, world pixels.
        y: (T,) centre of the view, world pixels.
        zoom: (T,) magnification.
        roll: (T,) degrees.
    """

    x: np.ndarray
    y: np.ndarray
    zoom: np.ndarray
    roll: np.ndarray

    def at(self, time: float) -> tuple[float, float, float, float]:
        """Pose between frames (``time`` in frames): x, y, zoom, roll."""
        last = len(self.x) - 1
        time = min(max(time, 0.0), float(last))
        first = min(int(time), last - 1)
        part = time - first
        return tuple(  # type: ignore[return-value]
            float(a[first] + part * (a[first + 1] - a[first]))
            for a in (self.x, self.y, self.zoom, self.roll)
        )

    def speed(self) -> np.ndarray:
        """(T,) world pixels per frame, central differences."""
        result: np.ndarray = np.hypot(np.gradient(self.x), np.gradient(self.y))
        return result


def make_camera(
    settings: WorldSettings, fixations: list[Fixation], rng: np.random.Generator
) -> Camera:
    """The path through the fixations.

    Args:
        settings: of the world.
        fixations: where the camera rests, in order.
        rng: random numbers.
    """
    frames = settings.frames
    plan = {
        name: _smooth3(_through(fixations, [getattr(f, name) for f in fixations], frames))
        for name in ("x", "y", "zoom", "roll")
    }
    alive = _smooth3(_liveliness(fixations, frames))
    walking = _smooth3(1.0 - _resting(fixations, frames))
    noise = {
        name: _drift(rng, frames, DRIFT_SEC * settings.fps) * alive
        for name in ("x", "y", "roll", "zoom")
    }
    seconds = np.arange(frames) / settings.fps
    bob = np.sin(2 * np.pi * (BOB_HZ * seconds + rng.random())) * walking * settings.bob
    low, high = settings.zoom
    zoom = np.clip(plan["zoom"] + ZOOM_NOISE * noise["zoom"], low, high)
    limit = settings.roll_deg
    x = plan["x"] + settings.drift * noise["x"]
    y = plan["y"] + settings.drift * noise["y"] + bob
    half_width = settings.view_width / settings.scale / 2 / zoom
    half_height = settings.view_height / settings.scale / 2 / zoom
    return Camera(
        np.clip(x, half_width, ROOM_WIDTH - half_width),
        np.clip(y, half_height, ROOM_HEIGHT - half_height),
        zoom,
        np.clip(plan["roll"] + ROLL_NOISE_DEG * noise["roll"], -limit, limit),
    )


def matrix(settings: WorldSettings, pose: tuple[float, float, float, float]) -> np.ndarray:
    """(2, 3) map from canvas pixels (world pixels times ``scale``) to view pixels."""
    x, y, zoom, roll = pose
    cosine, sine = zoom * np.cos(np.radians(roll)), zoom * np.sin(np.radians(roll))
    x, y = x * settings.scale, y * settings.scale
    return np.array(
        [
            [cosine, -sine, settings.view_width / 2 - cosine * x + sine * y],
            [sine, cosine, settings.view_height / 2 - sine * x - cosine * y],
        ]
    )


def _through(fixations: list[Fixation], values: list[float], frames: int) -> np.ndarray:
    """(T,) each fixation's value, straight lines between them."""
    knots = [t for f in fixations for t in (f.start, max(f.end - 1, f.start))]
    result: np.ndarray = np.interp(np.arange(frames), knots, np.repeat(values, 2))
    return result


def _liveliness(fixations: list[Fixation], frames: int) -> np.ndarray:
    values = np.ones(frames)
    for f in fixations:
        values[f.start : f.end] = f.liveliness
    return values


def _resting(fixations: list[Fixation], frames: int) -> np.ndarray:
    values = np.zeros(frames)
    for f in fixations:
        values[f.start : f.end] = 1.0
    return values


def _smooth3(values: np.ndarray) -> np.ndarray:
    """A short symmetric smoothing: saccades start and end softly."""
    padded = np.pad(values, 1, mode="edge")
    return 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]


def _drift(rng: np.random.Generator, frames: int, width: float) -> np.ndarray:
    """(T,) smooth noise of unit variance."""
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.convolve(rng.normal(size=frames + 2 * reach), kernel, mode="valid")
