"""The particle filter with the recorded seeds: windows, similarity, resampling, a track."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from egolib.vq2d.config import ParticleConfig
from egolib.vq2d.tracking.particle_filter import (
    RESAMPLING,
    Windows,
    observe,
    pixel_similarity,
    track_both_ways,
)
from tests.parity.recordings import read

TEMPLATE = (10, 14)
RESAMPLING_SEED = 3
START = 2
"""These three numbers stand in the recordings' README."""


@pytest.mark.recordings("particle_filter")
def test_windows_and_similarity(recording: Path) -> None:
    case = read(recording)
    windows = observe(case["particles"], case["frame_0"], TEMPLATE)
    np.testing.assert_array_equal(windows, case["observed"])
    found = pixel_similarity(windows, windows[0])
    np.testing.assert_allclose(found, case["metric"], rtol=0, atol=1e-12)


@pytest.mark.recordings("particle_filter")
@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("official", "rs_resample"),
        ("systematic", "rs_systematic_resample"),
        ("stratified", "rs_stratified_resample"),
        ("residual", "rs_residual_resample"),
    ],
)
def test_resampling(recording: Path, name: str, recorded: str) -> None:
    case = read(recording)
    chosen = RESAMPLING[name](case["rs_weights"], np.random.RandomState(RESAMPLING_SEED))
    np.testing.assert_array_equal(chosen, case[recorded])


@pytest.mark.recordings("particle_filter")
def test_track(recording: Path) -> None:
    case = read(recording)
    config = settings(json.loads(str(case["config"])))
    x, y, width, height = case["init_xywh"]
    end = 1 + max(int(name.removeprefix("frame_")) for name in case if name.startswith("frame_"))
    followed = track_both_ways(
        lambda number: case[f"frame_{number}"],
        START,
        end,
        (x, y, x + width, y + height),
        config,
        Windows(partial(pixel_similarity, sigma=config.metric_sigma)),
        np.random.RandomState(int(case["numpy_seed"])),
    )
    np.testing.assert_array_equal(followed.rows, case["track"])


def settings(recorded: dict) -> ParticleConfig:
    values = recorded["tracker"]["pfilter"]
    assert not values["use_deep_similarity"]
    return ParticleConfig(
        particles=values["n_particles"],
        similarity="pixel",
        metric_sigma=values["metric_sigma"],
        lost_threshold=values["sim_thresh"],
        resample_proportion=values["resample_proportion"],
    )
