from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.data.charades import (
    Action,
    action_table,
    read_action_table,
    read_actions,
    read_classes,
    read_videos,
    targets,
    write_action_table,
)

HEADER = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    classes = tmp_path / "Charades_v1_classes.txt"
    classes.write_text("c000 Holding clothes, or so\nc001 Opening a door\n\n")
    videos = tmp_path / "CharadesEgo_v1_test_only1st.csv"
    rows = ["A,s,k,1,1,Yes,,,,c001 1.00 2.50;c000 0 3,9", "B,s,k,1,1,Yes,,,,,9"]
    videos.write_text("\n".join([HEADER, *rows, ""]))
    return videos, classes


def test_class_texts_end_at_a_comma_unless_asked_otherwise(files: tuple[Path, Path]) -> None:
    assert read_classes(files[1]) == ["Holding clothes", "Opening a door"]
    assert read_classes(files[1], "whole") == ["Holding clothes, or so", "Opening a door"]


def test_classes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("c001 Opening a door\n")
    with pytest.raises(EgolibError, match="expected class c000"):
        read_classes(tmp_path / "c.txt")


def test_actions(files: tuple[Path, Path]) -> None:
    assert read_actions(files[0]) == [("A", [(1, 1.0, 2.5), (0, 0.0, 3.0)]), ("B", [])]


def test_the_table_of_actions_goes_round(files: tuple[Path, Path], tmp_path: Path) -> None:
    text = action_table(*files)
    assert text.splitlines()[1] == "A\t1\t1.0\t2.5\tOpening a door"
    path = write_action_table(*files, tmp_path / "metadata_test.csv")
    assert read_action_table(path) == [
        Action("A", 1, 1.0, 2.5, "Opening a door"),
        Action("A", 0, 0.0, 3.0, "Holding clothes"),
    ]


def test_targets(files: tuple[Path, Path]) -> None:
    videos = read_videos(files[0])
    np.testing.assert_array_equal(targets(videos, 3), [[1, 1, 0], [0, 0, 0]])
    assert targets([], 3).shape == (0, 3)


def test_malformed_actions_are_named(files: tuple[Path, Path]) -> None:
    files[0].write_text(files[0].read_text().replace("c001 1.00 2.50", "c001 1.00"))
    with pytest.raises(EgolibError, match="record A"):
        read_actions(files[0])
