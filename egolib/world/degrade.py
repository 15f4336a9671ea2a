"""What spoils the view: defocus, motion blur, exposure, sensor noise. One value a frame.

"Degraded" is this module's flag: a frame with a defocus that hides the textures,
so that a silhouette's class can only be guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from egolib.world.camera import Camera
from egolib.world.settings import WorldSettings

FAST = 6.0  # pixels per frame: above this the head is in a saccade
SHARP_SHIFT = 3.0  # pixels of motion blur that a sharp view may have
BARELY_VISIBLE = 0.1  # fraction of a box inside the view
GAP_FRAMES = 3  # shortest distance of two defocus runs
NOISE_FRAMES = 24  # distinct noise images of one video


@dataclass(frozen=True)
class Degradation:
    """All (T,).

    Args:
        sigma: defocus in world pixels, 0 when sharp.
        shutter: exposure as a fraction of the frame interval.
        gain: brightness factor.
        tint: colour temperature, -1 cold to 1 warm.
        noise: which noise image is added.
    """

    sigma: np.ndarray
    shutter: np.ndarray
    gain: np.ndarray
    tint: np.ndarray
    noise: np.ndarray

    @property
    def flag(self) -> np.ndarray:
        """(T,) bool, the frame is degraded beyond class recognition."""
        return self.sigma > 0

    def sharp(self, speed: np.ndarray) -> np.ndarray:
        """(T,) bool: neither defocus nor much motion blur, at the camera's speed."""
        return is_sharp(self.sigma, self.shutter, speed)


def make_degradation(
    settings: WorldSettings, camera: Camera, fractions: np.ndarray, rng: np.random.Generator
) -> Degradation:
    """Draws the degradation of a video.

    Args:
        settings: of the world.
        camera: its path.
        fractions: (T, N) fraction of each object inside the view; objects that stay there
            for a second or more get two sharp views.
        rng: random numbers.
    """
    speed = camera.speed()
    sigma = _defocus(settings, speed, rng)
    shutter = rng.uniform(0.5, 0.9) * np.ones(settings.frames)
    _keep_sharp_views(settings, sigma, shutter, speed, fractions)
    gain, tint = _light(settings, camera, rng)
    noise = rng.integers(NOISE_FRAMES, size=settings.frames)
    return Degradation(sigma, shutter, gain, tint, noise)


def is_sharp(sigma: np.ndarray, shutter: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """(T,) bool: neither defocus nor much motion blur.

    Args:
        sigma: (T,) width of the defocus in pixels.
        shutter: (T,) fraction of a frame that it is open.
        speed: (T,) pixels a frame.
    """
    result: np.ndarray = (sigma == 0) & (speed * shutter <= SHARP_SHIFT * 1.001)
    return result


def runs(flags: np.ndarray) -> np.ndarray:
    """(K, 2) first and one-past-last index of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def _defocus(settings: WorldSettings, speed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Runs of defocus: through every saccade, then at random until the fraction is reached."""
    frames, (shortest, longest) = settings.frames, settings.defocus_frames
    sigma = np.zeros(frames)
    for first, last in runs(speed > FAST):
        length = min(longest, max(shortest, last - first))
        start = min((first + last - length) // 2, frames - length)
        sigma[max(0, start) : start + length] = _sigma(settings, rng)
    wanted = settings.degraded_fraction * frames
    for _ in range(20 * frames):
        missing = wanted - np.count_nonzero(sigma)
        if missing < shortest:
            break
        length = int(rng.integers(shortest, longest + 1))
        start = int(rng.integers(0, frames - length + 1))
        around = sigma[max(0, start - GAP_FRAMES) : start + length + GAP_FRAMES]
        if not around.any():
            sigma[start : start + length] = _sigma(settings, rng)
    return sigma


def _sigma(settings: WorldSettings, rng: np.random.Generator) -> float:
    return rng.uniform(*settings.defocus_sigma) * settings.size_factor


def _keep_sharp_views(
    settings: WorldSettings,
    sigma: np.ndarray,
    shutter: np.ndarray,
    speed: np.ndarray,
    fractions: np.ndarray,
) -> None:
    """Clears frames so that every second in which some object stays visible has two sharp ones.

    The slowest frames are cleared, early ones first, so that a long run of defocus is
    shortened rather than cut in two.
    """
    length = settings.fps
    for start in np.flatnonzero(_visible_throughout(fractions >= BARELY_VISIBLE, length)):
        window = slice(start, start + length)
        lacking = 2 - int(is_sharp(sigma[window], shutter[window], speed[window]).sum())
        for frame in start + np.argsort(np.rint(speed[window]), kind="stable"):
            if lacking <= 0:
                break
            if not is_sharp(sigma[frame], shutter[frame], speed[frame]):
                sigma[frame] = 0
                shutter[frame] = min(shutter[frame], SHARP_SHIFT / max(speed[frame], 1e-9))
                lacking -= 1


def _visible_throughout(visible: np.ndarray, length: int) -> np.ndarray:
    """(T - length + 1,) bool: some object is visible in all frames of the window from here."""
    count = np.concatenate([np.zeros((1, visible.shape[1]), int), np.cumsum(visible, axis=0)])
    result: np.ndarray = (count[length:] - count[:-length] == length).any(1)
    return result


def _light(
    settings: WorldSettings, camera: Camera, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness and tint: by place, slowly drifting, with dips of the exposure."""
    frames, fps = settings.frames, settings.fps
    seconds = np.arange(frames) / fps
    waves = rng.uniform(0.02, 0.08, size=3), rng.uniform(0, 2 * np.pi, size=4)
    place = np.sin(camera.x / 1024 * 2 * np.pi * rng.uniform(0.6, 1.4) + waves[1][3])
    slow = sum(
        np.sin(2 * np.pi * f * seconds + p) for f, p in zip(waves[0], waves[1][:3], strict=True)
    )
    gain = 1.0 + 0.10 * place + 0.05 * slow
    for _ in range(rng.poisson(settings.dips_per_minute * settings.video_sec / 60)):
        start, length = int(rng.integers(frames)), int(rng.integers(3, 9))
        gain[start : start + length] *= rng.uniform(0.35, 0.6)
    return np.clip(gain, 0.3, 1.25), np.clip(0.5 * place + 0.2 * slow, -1, 1)
