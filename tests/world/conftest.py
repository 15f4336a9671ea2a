"""A drawn ``tiny`` world, and larger worlds that exist as logs only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from egolib import world
from egolib.world import settings as world_settings
from egolib.world.episode import Episode, make_episode
from egolib.world.library import World
from egolib.world.settings import WorldSettings


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a drawn ``tiny`` world."""
    root = tmp_path_factory.mktemp("world") / "tiny"
    world.make("tiny", root)
    return root


@pytest.fixture(scope="session")
def tiny(tiny_root: Path) -> World:
    """The drawn ``tiny`` world."""
    return world.load(tiny_root)


@pytest.fixture(scope="session")
def mini_settings() -> WorldSettings:
    return world_settings.read("mini")


@pytest.fixture(scope="session")
def episode(mini_settings: WorldSettings) -> Episode:
    """One video of ``mini``, as a log."""
    return make_episode(mini_settings, "train", 0)


@pytest.fixture(scope="session")
def logs(mini_settings: WorldSettings) -> Callable[..., World]:
    """Makes worlds of ``mini`` videos that are not drawn: ``logs(val_videos=100, …)``."""

    def make(**changes: object) -> World:
        base = replace(mini_settings, train_videos=1, val_videos=1, test_videos=1)
        return World(replace(base, **changes), None)  # type: ignore[arg-type]

    return make
