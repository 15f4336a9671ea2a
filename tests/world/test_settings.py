from __future__ import annotations

from dataclasses import fields

import pytest

from egolib.errors import EgolibError
from egolib.world.settings import WorldSettings, fingerprint, read


@pytest.mark.parametrize(
    ("preset", "videos", "frames", "view"),
    [
        ("tiny", 7, 1_400, (96, 72)),
        ("mini", 56, 67_200, (192, 144)),
        ("small", 500, 2_250_000, (320, 240)),
    ],
)
def test_presets_are_those_of_the_specification(
    preset: str, videos: int, frames: int, view: tuple[int, int]
) -> None:
    settings = read(preset)
    count = settings.train_videos + settings.val_videos + settings.test_videos
    assert (count, count * settings.frames) == (videos, frames)
    assert (settings.view_width, settings.view_height) == view
    assert settings.fps % settings.vq_fps == 0


def test_defaults_are_mini() -> None:
    assert read("mini") == WorldSettings()


def test_every_field_is_documented() -> None:
    text = WorldSettings.__doc__ or ""
    assert [f.name for f in fields(WorldSettings) if f.name not in text] == []


def test_paper_has_no_world() -> None:
    with pytest.raises(EgolibError, match="real data"):
        read("paper")


def test_fingerprint_sees_every_change() -> None:
    assert fingerprint(read("mini")) != fingerprint(read("mini", world_seed=1))
    assert fingerprint(read("mini")) == fingerprint(read("mini"))
