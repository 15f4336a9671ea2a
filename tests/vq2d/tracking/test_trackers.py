"""Trackers behind one door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from egolib.errors import EgolibError
from egolib.vq2d.config import LocalizeConfig, ParticleConfig
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.trackers import (
    KysFollower,
    ParticleFollower,
    make_tracker,
    needs_detector,
)
from tests.vq2d import made


def test_choices() -> None:
    config = LocalizeConfig()
    assert make_tracker(replace(config, tracker="none")) is None
    assert isinstance(make_tracker(config, kys=KysNetwork(made.tiny_kys())), KysFollower)
    detector = SiameseRcnn(made.tiny_detector())
    for similarity in ("pixel", "deep", "deep_shared"):
        particle = ParticleConfig(similarity=similarity)
        chosen = replace(config, tracker="particle", particle=particle)
        assert isinstance(make_tracker(chosen, detector=detector), ParticleFollower)
        assert needs_detector(chosen) is (similarity != "pixel")


@pytest.mark.parametrize(
    ("name", "message"), [("kys", "network"), ("particle", "detector's features")]
)
def test_what_is_missing_is_said(name: str, message: str) -> None:
    with pytest.raises(EgolibError, match=message):
        make_tracker(replace(LocalizeConfig(), tracker=name))
