"""Trackers behind one door."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vq2d.config import LocalizeConfig, ParticleConfig
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.trackers import (
    DeepSimilarity,
    KysFollower,
    ParticleFollower,
    make_tracker,
)
from tests.vq2d import made


def test_choices() -> None:
    config = LocalizeConfig()
    assert make_tracker(replace(config, tracker="none")) is None
    assert isinstance(make_tracker(config, kys=KysNetwork(made.tiny_kys())), KysFollower)
    particle = replace(config, tracker="particle", particle=ParticleConfig(similarity="pixel"))
    assert isinstance(make_tracker(particle), ParticleFollower)
    deep = replace(config, tracker="particle")
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
