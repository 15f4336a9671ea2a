"""Tracking by a particle filter: no training, only a measure of how alike two images are.

Legend: P particles, h x w size of the template, F frames.

A particle is (row, column, row scale, column scale): the centre of a window and its size
relative to the template. The official filter draws from NumPy's global generator; here a
``RandomState`` comes in, which gives the same numbers for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

from egolib.vq2d.config import ParticleConfig
from egolib.vq2d.localization.tracks import Followed


class Observer(Protocol):
    """How windows of a frame are described and compared with the template.

    ``template``: the description (...) of the window where the object is known.
    ``observe``: descriptions (P, ...) of the windows of particles.
    ``compare``: (P,) similarity of descriptions and template.
    """

    def template(self, frame: np.ndarray, box_xyxy: Sequence[int]) -> np.ndarray: ...

    def observe(
        self, particles: np.ndarray, frame: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """Descriptions (P, ...) of the windows of particles.

        Args:
            particles: (P, 4) row, column, row scale, column scale.
            frame: (H, W, 3) uint8.
            size: (height, width) of the template in pixels.
        """

    def compare(self, windows: np.ndarray, template: np.ndarray) -> np.ndarray: ...


Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(windows (P, h, w, 3), template (h, w, 3)), both float 0 to 255 -> (P,) similarity."""


def pixel_similarity(windows: np.ndarray, template: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """(P,) exp(-mse / (2 sigma²)) with grey levels scaled to 0..1.

    Args:
        windows: (P, h, w, 3), 0 to 255.
        template: (h, w, 3).
        sigma: width of the similarity.
    """
    error = ((windows / 255.0 - template / 255.0) ** 2).mean(axis=(1, 2, 3))
    result: np.ndarray = np.exp(-error / (2 * sigma**2))
    return result


class Windows:
    """Windows are cut out as images (official).

    Args:
        similarity: compares images.
    """

    def __init__(self, similarity: Similarity):
        self.similarity = similarity

    def template(self, frame: np.ndarray, box_xyxy: Sequence[int]) -> np.ndarray:
        """(h, w, 3) float64."""
        return crop_of(frame, box_xyxy).astype(np.float64)

    def observe(
        self, particles: np.ndarray, frame: np.ndarray, size: tuple[int, int]
    ) -> np.ndarray:
        """(P, h, w, 3), see ``observe``.

        Args:
            particles: (P, 4).
            frame: (H, W, 3) uint8.
            size: (height, width) of the template.
        """
        return observe(particles, frame, size)

    def compare(self, windows: np.ndarray, template: np.ndarray) -> np.ndarray:
        """(P,) similarity."""
        return self.similarity(windows, template)


def crop_of(frame: np.ndarray, box_xyxy: Sequence[int]) -> np.ndarray:
    """The part (h, w, 3) of a frame (H, W, 3) inside a box of integers."""
    x1, y1, x2, y2 = (int(value) for value in box_xyxy)
    return frame[y1:y2, x1:x2]


class ParticleFilter:
    """Follows one object from frame to frame in one direction.

    Args:
        frame: (H, W, 3) uint8, where the object is known.
        box_xyxy: its corners, integers.
        config: of the filter.
        observer: compares windows with the template.
        rng: the random numbers; draw order as in the official code.
    """

    def __init__(
        self,
        frame: np.ndarray,
        box_xyxy: Sequence[int],
        config: ParticleConfig,
        observer: Observer,
        rng: np.random.RandomState,
    ):
        x1, y1, x2, y2 = (int(value) for value in box_xyxy)
        self.config, self.observer, self.rng = config, observer, rng
        self.size = crop_of(frame, box_xyxy).shape[:2]
        self.visible = min(self.size) > 0
        self.template = observer.template(frame, box_xyxy) if self.visible else np.zeros(0)
        centre = int(np.round((y1 + y2) / 2.0)), int(np.round((x1 + x2) / 2.0))
        self.particles = self._draw(np.array([*centre, 1.0, 1.0]), frame, config.first_scale_sd)
        self.weights = np.ones(config.particles) / config.particles

    def update(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """The box (x1, y1, x2, y2) int of the likeliest particle in the next frame, and
        the similarity of its window (0 where the template is empty)."""
        if not self.visible:
            state = self.particles[0]
            self._resample(state, frame)
            return window_of(state, self.size), 0.0
        windows = self.observer.observe(self.particles, frame, self.size)
        alike = self.observer.compare(windows, self.template)
        weights = np.clip(self.weights * alike, 1e-7, None)
        self.weights = weights / weights.sum()
        best = int(np.argmax(self.weights))
        state = self.particles[best]
        self._resample(state, frame)
        rate = self.config.template_rate
        self.template = rate * windows[best] + (1 - rate) * self.template
        return window_of(state, self.size), float(alike[best])

    def _resample(self, state: np.ndarray, frame: np.ndarray) -> None:
        """Draws particles anew: by weight, then a fraction of them around the likeliest one."""
        count = self.config.particles
        effective = (1.0 / np.sum(self.weights**2)) / count
        if effective < 1.0:
            self.particles = self.particles[
                RESAMPLING[self.config.resampling](self.weights, self.rng)
            ]
            self.weights = np.ones(count) / count
        if self.config.resample_proportion > 0:
            redrawn = self.rng.random_sample(count) < self.config.resample_proportion
            drawn = self._draw(state, frame, self.config.scale_sd)
            self.particles = np.where(redrawn[:, None], drawn, self.particles)

    def _draw(self, mean: np.ndarray, frame: np.ndarray, scale_sd: float) -> np.ndarray:
        """(P, 4) normal around the mean; all rows are drawn first, then all columns, ..."""
        height, width = frame.shape[:2]
        spread = self.config.position_sd
        deviations = (spread * height, spread * width, scale_sd, scale_sd)
        columns = [
            m + sd * self.rng.standard_normal(self.config.particles)
            for m, sd in zip(mean, deviations, strict=True)
        ]
        return np.stack(columns, axis=1)


def window_of(state: np.ndarray, template_size: tuple[int, int]) -> np.ndarray:
    """(4,) int corners x1, y1, x2, y2 of a particle's window."""
    size = (state[2:] * np.array(template_size)).round().astype(int)
    low = state[:2].round().astype(int) - size // 2
    high = low + size
    return np.array([low[1], low[0], high[1], high[0]])


def observe(particles: np.ndarray, frame: np.ndarray, template_size: tuple[int, int]) -> np.ndarray:
    """(P, h, w, 3) float64: each particle's window in the template's size.

    It is -1 where the window leaves the image or is empty.

    Args:
        particles: (P, 4) row, column, row scale, column scale.
        frame: (H, W, 3) uint8.
        template_size: (height, width) of the template in pixels.
    """
    rows, columns = (max(1, side) for side in template_size)
    height, width = frame.shape[:2]
    windows = np.full((len(particles), rows, columns, 3), -1.0)
    for i, particle in enumerate(particles):
        x1, y1, x2, y2 = window_of(particle, (rows, columns))
        inside = x1 >= 0 and y1 >= 0 and x2 < width and y2 < height
        if inside and x1 < x2 and y1 < y2:
            windows[i] = cv2.resize(frame[y1:y2, x1:x2], (columns, rows))
    return windows


# --------------------------------------------------------------------- resampling


def comb(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """(P,) indices: an even comb with one random shift over the cumulated weights."""
    teeth = (rng.random_sample() + np.arange(len(weights))) / len(weights)
    return np.searchsorted(np.cumsum(weights)[:-1], teeth, side="left")


def systematic(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """(P,) indices: like ``comb``, ties going to the next particle."""
    teeth = (np.arange(len(weights)) + rng.uniform(0, 1)) / len(weights)
    return np.searchsorted(np.cumsum(weights)[:-1], teeth, side="right")


def stratified(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """(P,) indices: a comb whose teeth are shifted one by one."""
    teeth = (rng.uniform(0, 1, len(weights)) + np.arange(len(weights))) / len(weights)
    return np.searchsorted(np.cumsum(weights)[:-1], teeth, side="right")


def residual(weights: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """(P,) indices: whole copies first, the rest at random.

    Official behaviour: what is left is weight less copies, where weights sum to 1 and
    copies to P, so that particles with copies get no more.
    """
    count = len(weights)
    copies = (count * weights).astype(np.int64)
    whole = np.repeat(np.arange(count), copies)
    left = weights - copies
    cumulated = np.cumsum(left / left.sum())
    cumulated[-1] = 1
    rest = np.searchsorted(cumulated, rng.uniform(0, 1, count - len(whole)))
    return np.concatenate([whole, rest])


RESAMPLING: dict[str, Callable[[np.ndarray, np.random.RandomState], np.ndarray]] = {
    "official": comb,
    "systematic": systematic,
    "stratified": stratified,
    "residual": residual,
}


# ------------------------------------------------------------------------- driver


def track_both_ways(
    frames: Callable[[int], np.ndarray],
    start_frame: int,
    end_frame: int,
    box_xyxy: Sequence[int],
    config: ParticleConfig,
    observer: Observer,
    rng: np.random.RandomState,
) -> Followed:
    """Back to frame 0, then on to the end, each until the object is lost.

    Args:
        frames: gives the RGB frame (H, W, 3) uint8 of a clip frame.
        start_frame: where the box is.
        end_frame: first frame after the search window.
        box_xyxy: its corners, integers.
        config: of the filter.
        observer: compares windows with the template.
        rng: the random numbers of both directions.

    Official behaviour: a box is kept before its similarity is tested, so the frame in
    which the object is lost belongs to the track.
    """
    start = frames(start_frame)
    found = {start_frame: ([int(value) for value in box_xyxy], 1.0)}
    for direction in (range(start_frame - 1, -1, -1), range(start_frame + 1, end_frame)):
        tracker = ParticleFilter(start, box_xyxy, config, observer, rng)
        for number in direction:
            box, alike = tracker.update(frames(number))
            found[number] = (box.tolist(), alike)
            if alike < config.lost_threshold:
                break
    numbers = sorted(found)
    rows = [[number, *found[number][0]] for number in numbers]
    return Followed(np.array(rows), np.array([found[number][1] for number in numbers]))
