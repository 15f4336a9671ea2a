"""Features that the particle filter compares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.vq2d.config import ParticleConfig
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.deep_features import FrameFeatures, WindowFeatures, cosine
from egolib.vq2d.tracking.particle_filter import ParticleFilter, Windows
from tests.vq2d import made


@pytest.fixture(scope="module")
def detector() -> SiameseRcnn:
    torch.manual_seed(0)
    return SiameseRcnn(made.tiny_detector()).eval()


def test_cosine() -> None:
    vectors = np.array([[2.0, 0], [0, 3], [0, 0]])
    assert cosine(vectors, np.array([1.0, 0])).tolist() == [1, 0, 0]


def test_windows_are_compared_by_pooled_features(detector: SiameseRcnn) -> None:
    alike = WindowFeatures(detector, side=32, batch_size=2)
    windows = np.random.default_rng(0).uniform(0, 255, (3, 10, 14, 3))
    found = alike(windows, windows[1])
    assert found.shape == (3,) and found[1] == pytest.approx(1.0)
    assert (found <= 1 + 1e-6).all() and found[0] < 1


def test_windows_of_one_map(detector: SiameseRcnn) -> None:
    """The template's own window is alike, one that leaves the frame is not seen."""
    frame = made.moving_square(1)[0]
    shared = FrameFeatures(detector, side=64)
    template = shared.template(frame, (10, 12, 26, 24))
    particles = np.array([[18.0, 18, 1, 1], [30.0, 50, 1, 1], [0.0, 0, 1, 1]])
    seen = shared.observe(particles, frame, (12, 16))
    alike = shared.compare(seen, template)
    assert alike[0] == pytest.approx(1, abs=1e-6) and alike[1] < alike[0] and alike[2] == 0


def test_the_network_sees_each_frame_once(detector: SiameseRcnn) -> None:
    frames, calls = made.moving_square(3), []
    handle = detector.backbone.register_forward_hook(lambda *_: calls.append(1))
    config = ParticleConfig(particles=20)
    for observer, expected in (
        (FrameFeatures(detector, side=64), 3),
        (Windows(WindowFeatures(detector, side=32, batch_size=8)), 6),
    ):
        calls.clear()
        rng = np.random.RandomState(0)
        tracker = ParticleFilter(frames[0], (10, 12, 26, 24), config, observer, rng)
        for frame in frames[1:]:
            tracker.update(frame)
        assert len(calls) == expected
    handle.remove()
