"""Where data and weights come from: one table for the page, the notebooks and dry runs."""

from __future__ import annotations

import pytest

from egolib.config import TASKS, project_root, variants
from egolib.errors import EgolibError
from egolib.io import sources as known
from egolib.io.sources import sources


def test_the_page_shows_the_tables():
    page = (project_root() / "book" / "data_and_weights.md").read_text()
    for table in known.markdown():
        assert table in page


def test_what_a_variant_needs():
    names = {s.name for s in known.data_sets() if s.is_needed("vlp", "epic_finetune")}
    assert "EPIC-KITCHENS-100 videos" in names and "Charades-Ego" not in names
    assert "EK-100 relevancy matrices" not in names  # made where it is absent


@pytest.mark.parametrize("task", TASKS)
def test_every_variant_needs_something(task):
    for variant in variants(task):
        needed = [s for s in known.data_sets() if s.is_needed(task, variant)]
        assert [p for s in needed for p in s.patterns(task)], variant


def test_weights_are_known_by_their_files():
    found = known.weights_named("weights/coco_mask_rcnn_r50_fpn_3x.pkl")
    assert found is not None and "detectron2" in found.get
    assert known.weights_named("nothing.pth") is None


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_rows(task):
    table = sources(task)
    assert len(table) >= 3
    assert list(table.columns) == ["how to get it", "where it goes, or what it becomes"]


def test_nlq_rows():
    table = sources("nlq")
    assert "data/nlq/" in table.loc["GroundNLQ files, features, weights"].iloc[-1]
    assert "data/egoclip/" in table.loc["EgoClip metadata (`egoclip.csv`)"].iloc[-1]


def test_unknown_task():
    with pytest.raises(EgolibError, match="no source names"):
        sources("asr")
