"""A small data set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from egolib.vod.config.data import DataConfig
from tests.vod.made import make_data


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """Settings of a small data set on disk."""
    return make_data(tmp_path_factory.mktemp("vod"))


@pytest.fixture(scope="session")
def made_root(made: DataConfig) -> Path:
    """Its ILSVRC folder."""
    return Path(made.evaluation).parents[1]
