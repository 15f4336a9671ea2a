from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.runs.step import Step
from egolib.vlp.config import Config
from egolib.vlp.steps import data as steps
from egolib.vlp.steps import figures
from tests.vlp.project import step


@pytest.fixture(scope="module")
def data(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Step[Config]:
    return step("1_data", tiny_world, tmp_path_factory.mktemp("data"))


def test_everything_is_found(data: Step[Config]) -> None:
    found = steps.prepare(data)
    assert not found.inventory.absent and not found.missing
    steps.check(data, found)
    assert steps.table(found).loc["EgoMCQ, questions", "count"] == 20
    assert steps.relevancy_table(found)["equals ours"].all()
    assert steps.counts(found)["missing videos"] == 0
    assert steps.metrics(found) == {"absent": 0, "missing_videos": 0}


def test_what_is_absent_is_listed(tmp_path: Path) -> None:
    made = step("1_data", tmp_path / "nothing", tmp_path)
    found = steps.prepare(made)
    assert len(found.inventory.absent) == 8 and not steps.table(found)["count"].any()
    with pytest.raises(EgolibError, match="egoclip"):
        steps.check(made, found)


def test_variants_that_do_not_train_need_no_training_data(tmp_path: Path) -> None:
    made = step("1_data", tmp_path / "nothing", tmp_path, "epic_zeroshot")
    steps.check(made, steps.prepare(made))


def test_clips_that_the_official_sampling_makes_black(data: Step[Config]) -> None:
    table = steps.short_clips(data, steps.prepare(data), [1, 32])
    assert table["fraction"].tolist() == [0.0, 1.0]  # two seconds at ten frames a second


def test_figures(data: Step[Config]) -> None:
    prepared = steps.prepare(data)
    found, asked = prepared.inventory, steps.intra_question(prepared)
    assert found.clips is not None and asked is not None
    figures.narrations(found.clips)
    figures.question(steps.videos(data), asked)
    split = found.epic["test"]
    figures.relevancy(split)
    similarity = np.random.default_rng(0).random(split.relevancy.shape)
    figures.retrieved(data, split, similarity, [0, 1], best=2)
