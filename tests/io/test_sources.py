"""The tables of the data page, cut by task."""

from __future__ import annotations

import pytest

from egolib.config import TASKS
from egolib.errors import EgolibError
from egolib.io.sources import sources, table_rows


def test_rows_of_tables():
    text = "| a | b |\n| --- | --- |\n| 1 | |\n| 2 | x y |\n\nno table\n"
    assert table_rows(text) == [["1", ""], ["2", "x y"]]


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
    with pytest.raises(EgolibError, match="no row names"):
        sources("asr")
