"""The particle filter on a moving square."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from egolib.vq2d.config import ParticleConfig
from egolib.vq2d.tracking.particle_filter import (
    RESAMPLING,
    ParticleFilter,
    Windows,
    observe,
    pixel_similarity,
    track_both_ways,
    window_of,
)
from tests.vq2d import made

CFG = ParticleConfig(particles=80, similarity="pixel", lost_threshold=0.0)
ALIKE = Windows(partial(pixel_similarity, sigma=0.1))


def follow(config: ParticleConfig, seed: int = 0, start: int = 4, end: int = 10):
    frames = made.moving_square(12)
    box = (10 + start, 12, 26 + start, 24)
    rng = np.random.RandomState(seed)
    return track_both_ways(frames.__getitem__, start, end, box, config, ALIKE, rng)


def test_it_follows_both_ways() -> None:
    followed = follow(replace(CFG, particles=400))
    assert followed.rows[:, 0].tolist() == list(range(10))
    expected = np.array([[10 + i, 12, 26 + i, 24] for i in range(10)])
    assert np.abs(followed.rows[:, 1:] - expected).max() <= 5
    assert followed.responses[4] == 1.0


def test_a_seed_fixes_the_track() -> None:
    np.testing.assert_array_equal(follow(CFG, 3).rows, follow(CFG, 3).rows)
    assert (follow(CFG, 3).rows != follow(CFG, 4).rows).any()


def test_the_losing_frame_belongs_to_the_track() -> None:
    """Official behaviour: the box is kept before its similarity is tested."""
    followed = follow(replace(CFG, lost_threshold=2.0))
    assert followed.rows[:, 0].tolist() == [3, 4, 5]


def test_windows_outside_are_unseen() -> None:
    frame = made.moving_square(1)[0]
    states = np.array([[20.0, 20, 1, 1], [0.0, 0, 1, 1], [20.0, 20, 0, 1]])
    windows = observe(states, frame, (8, 10))
    assert (windows[0] >= 0).all() and (windows[1:] == -1).all()
    assert window_of(states[0], (8, 10)).tolist() == [15, 16, 25, 24]


def test_an_empty_template_is_never_alike() -> None:
    frame = made.moving_square(1)[0]
    tracker = ParticleFilter(frame, (5, 5, 5, 9), CFG, ALIKE, np.random.RandomState(0))
    _, similarity = tracker.update(frame)
    assert similarity == 0.0


@pytest.mark.parametrize("name", list(RESAMPLING))
def test_resampling_prefers_heavy_particles(name: str) -> None:
    weights = np.array([0.9, 0.05, 0.03, 0.02])
    chosen = RESAMPLING[name](weights, np.random.RandomState(0))
    assert len(chosen) == 4 and (chosen == 0).sum() >= 3
