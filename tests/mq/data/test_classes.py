"""The class table."""

from __future__ import annotations

import pytest

from egolib.errors import EgolibError
from egolib.io.records import write_json
from egolib.mq.config import DataConfig
from egolib.mq.data.classes import class_names, make_classes, read_classes, write_classes
from tests.mq.small import CLIPS, clip


def test_names_in_string_order_from_one(tmp_path):
    table = make_classes([*CLIPS, clip(9, ('"a,_b"', 0, 1))], DataConfig())
    assert table == {"Background": 0, '"a,_b"': 1, "close": 2, "open": 3, "wash": 4}
    assert read_classes(write_classes(tmp_path / "c.json", table)) == table
    assert class_names(table) == ["Background", '"a,_b"', "close", "open", "wash"]


def test_validation_alone_has_a_class():
    clips = [*CLIPS, clip(9, ("sing", 0, 1), subset="val")]
    assert "sing" not in make_classes(clips, DataConfig())
    assert "sing" in make_classes(clips, DataConfig(classes="all_splits"))


@pytest.mark.parametrize(
    "table", [{"Background": 0, "a": 2}, {"a": 0, "Background": 1}, {"a": "0"}, {"a": 1, "b": 1}]
)
def test_other_numbers_are_refused(tmp_path, table):
    with pytest.raises(EgolibError, match="class|integer"):
        read_classes(write_json(tmp_path / "c.json", table))
