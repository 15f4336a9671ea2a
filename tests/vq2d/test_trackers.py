"""Trackers behind one door."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vq2d.config import LocalizeConfig, ParticleConfig
from egolib.vq2d.kys.network import KysNetwork
from egolib.vq2d.trackers import (
    DeepSimilarity,
    KysFollower,
    ParticleFollower,
    RememberedTracks,
    make_tracker,
)
from egolib.vq2d.tracks import Followed
from tests.vq2d import made


def test_choices() -> None:
    cfg = LocalizeConfig()
    assert make_tracker(replace(cfg, tracker="none")) is None
    assert isinstance(make_tracker(cfg, kys=KysNetwork(made.tiny_kys())), KysFollower)
    particle = replace(cfg, tracker="particle", particle=ParticleConfig(similarity="pixel"))
    assert isinstance(make_tracker(particle), ParticleFollower)
    deep = replace(cfg, tracker="particle")
    network = torch.nn.Conv2d(3, 4, 3)
    assert isinstance(make_tracker(deep, features=network), ParticleFollower)


@pytest.mark.parametrize(("name", "message"), [("kys", "network"), ("particle", "feature network")])
def test_what_is_missing_is_said(name: str, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        make_tracker(replace(LocalizeConfig(), tracker=name))


def test_deep_similarity_is_a_cosine_of_means() -> None:
    torch.manual_seed(0)
    alike = DeepSimilarity(torch.nn.Conv2d(3, 6, 3, stride=2), side=32, batch_size=2)
    rng = np.random.default_rng(0)
    windows = rng.uniform(0, 255, (3, 10, 14, 3))
    found = alike(windows, windows[1])
    assert found.shape == (3,) and found[1] == pytest.approx(1.0)
    assert (found <= 1 + 1e-6).all() and found[0] < 1


class Counting:
    def __init__(self):
        self.calls = 0

    def follow(self, frames, start_frame, end_frame, box_xyxy, seed):
        self.calls += 1
        return Followed(np.array([[start_frame, *box_xyxy]]), np.array([0.25]))


def test_tracks_are_remembered_for_the_same_tracker(tmp_path: Path) -> None:
    tracker, path = Counting(), tmp_path / "a_1.json"
    for _ in range(2):
        found = RememberedTracks(tracker, path, "one").follow(None, 3, 9, [1, 2, 3, 4], 0)
        assert found.rows.tolist() == [[3, 1, 2, 3, 4]] and found.responses.tolist() == [0.25]
    assert tracker.calls == 1
    RememberedTracks(tracker, path, "one").follow(None, 4, 9, [1, 2, 3, 4], 0)  # another start
    assert tracker.calls == 2
    RememberedTracks(tracker, path, "other").follow(None, 3, 9, [1, 2, 3, 4], 0)
    assert tracker.calls == 3
