"""The tiny world with its decoded frames, and a short pre-training on it, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib import world
from egolib.vlp.steps import data as steps
from egolib.vlp.steps import train
from tests.vlp.project import finished, step


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    world.make("tiny", root)
    return root


@pytest.fixture(scope="session")
def runs(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``1_data`` and ``2_train`` of the pre-training."""
    folder = tmp_path_factory.mktemp("runs")
    data = step("1_data", tiny_world, folder)
    assert not steps.prepare(data).unreadable
    finished(data)
    training = step("2_train", tiny_world, folder)
    train.train(training)
    finished(training)
    return folder
