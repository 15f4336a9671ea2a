from __future__ import annotations

import cv2
import numpy as np
import pytest

from egolib.world.catalog import CLASSES
from egolib.world.room import Instance
from egolib.world.sprites import hand_sprite, object_sprite, texture

MASK = np.ones((60, 60), np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_textures_are_metamers(seed: int) -> None:
    """Equal histograms when sharp, nothing left after the blur of a degraded view."""
    patterns = {kind: texture(kind, seed, MASK.shape, MASK, 6.4) for kind in ("striped", "dotted")}
    values = [np.sort(p.ravel()) for p in patterns.values()]
    np.testing.assert_allclose(values[0], values[1], atol=1e-6)
    for pattern in patterns.values():
        assert pattern.mean() == pytest.approx(0, abs=1e-6)
        assert pattern.std() == pytest.approx(1, abs=1e-5)
        soft = cv2.GaussianBlur(pattern, (0, 0), 3.0)[12:-12, 12:-12]
        assert soft.std() < 0.08
    assert np.abs(np.corrcoef(*(p.ravel() for p in patterns.values()))[0, 1]) < 0.5


def test_isotropic_blur_is_needed() -> None:
    """A blur in one direction leaves stripes of that direction: why saccades are defocused too."""
    kept = []
    for seed in range(8):
        pattern = texture("striped", seed, MASK.shape, MASK, 6.4)
        kept.append(cv2.blur(pattern, (21, 1))[12:-12, 12:-12].std())
    assert max(kept) > 0.3


@pytest.mark.parametrize("index", range(0, len(CLASSES), 2))
def test_classes_of_a_silhouette_share_their_outline(index: int) -> None:
    one, other = (
        object_sprite(Instance(0, i, "green", 5, 1.0), 0.0, 1.0, 6.4) for i in (index, index + 1)
    )
    assert (one.rgba[..., 3] == other.rgba[..., 3]).all() and one.area == other.area
    inside = one.rgba[..., 3] == 255
    means = [s.rgba[inside][:, :3].mean(0) for s in (one, other)]
    np.testing.assert_allclose(means[0], means[1], atol=3.0)
    assert np.abs(one.rgba.astype(int) - other.rgba).max() > 60  # sharp, they differ


def test_lids_open() -> None:
    closed, opened = (object_sprite(Instance(0, 6, "red", 1, 1.0), k, 1.0, 6.4) for k in (0, 1))
    assert (closed.rgba != opened.rgba).any()


def test_hands_are_mirrored() -> None:
    left, right = (hand_sprite(side, "", (9, 9, 9), (200, 150, 120), 1.0) for side in (-1, 1))
    assert left.area == pytest.approx(right.area, rel=0.02)
    assert (left.rgba != right.rgba).any()
