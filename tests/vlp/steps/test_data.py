from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.videos import EgoClipVideos
from egolib.vlp.steps import data as overview
from egolib.vlp.steps import figures
from tests.vlp.project import step


@pytest.fixture(scope="module")
def data(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> overview.Step:
    return step("1_data", tiny_world, tmp_path_factory.mktemp("data"))


def test_everything_is_found(data: overview.Step) -> None:
    found = overview.read_inventory(data)
    assert not found.absent and not overview.missing_videos(data, found)
    overview.require_training_data(data, found)
    assert overview.inventory_table(found).loc["EgoMCQ, questions", "count"] == 20
    assert overview.relevancy_table(found)["equals ours"].all()
    assert overview.counts(found, found.absent)["missing videos"] == 0


def test_what_is_absent_is_listed(tmp_path: Path) -> None:
    made = step("1_data", tmp_path / "nothing", tmp_path)
    found = overview.read_inventory(made)
    assert len(found.absent) == 6 and not overview.inventory_table(found)["count"].any()
    with pytest.raises(EgolibError, match="egoclip"):
        overview.require_training_data(made, found)


def test_clips_that_the_official_sampling_makes_black(data: overview.Step) -> None:
    found = overview.read_inventory(data)
    assert found.clips is not None
    table = overview.short_clips(found.clips, data.config.data, [1, 32])
    assert table["share, %"].tolist() == [0.0, 100.0]  # two seconds at ten frames a second


def test_figures(data: overview.Step) -> None:
    found = overview.read_inventory(data)
    videos = EgoClipVideos(data.data_root, data.config.data)
    assert found.clips is not None
    figures.narrations(found.clips)
    figures.question(videos, found.questions[0])
    split = found.epic["test"]
    figures.relevancy(split)
    similarity = np.random.default_rng(0).random(split.relevancy.shape)
    figures.retrieved(data, split, similarity, [0, 1], best=2)
