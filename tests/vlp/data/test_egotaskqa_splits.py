from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from egolib.errors import EgolibError
from egolib.vlp.data import egotaskqa_splits
from tests.vlp.questions import raw


@pytest.mark.parametrize(
    "count, train, val, test",
    [(10, 6, 2, 2), (11, 6, 2, 3), (4, 1, 1, 2), (3, 1, 1, 1)],
)
def test_questions_of_an_answer_are_divided(count: int, train: int, val: int, test: int) -> None:
    """What rounding leaves over goes to test, the last part in reverse order of names."""
    rows = [raw(str(i)) for i in range(count)]
    ratios = {"train": 3, "test": 1, "val": 1}
    found = egotaskqa_splits.divide_by_answer(rows, ratios, random.Random(0))
    assert {k: len(v) for k, v in found.items()} == {"train": train, "val": val, "test": test}
    assert sorted(int(r["interval"]) for v in found.values() for r in v) == list(range(count))


def test_a_rare_answer_goes_to_parts_drawn_at_random() -> None:
    ratios = {"train": 3, "test": 1, "val": 1}
    places = Counter()
    for seed in range(60):
        found = egotaskqa_splits.divide_by_answer([raw()], ratios, random.Random(seed))
        places.update(part for part, rows in found.items() if rows)
    assert set(places) == set(ratios) and min(places.values()) > 8


def test_indirect_trains_on_direct_references_and_on_single_actions() -> None:
    rows = [raw(str(i), reference="direct") for i in range(4)]
    rows += [raw(str(i), reference="indirect") for i in range(4, 8)]
    action = egotaskqa_splits.ACTION_PROGRAM + "x))"
    rows += [raw(str(i), reference="indirect", program=action) for i in range(8, 12)]
    found = egotaskqa_splits.divide(rows, "indirect", random.Random(0))
    assert [row["interval"] for row in found["train"][:4]] == list("0123")
    assert {row["interval"] for row in found["train"][4:]} == {"8", "9", "10", "11"}
    assert len(found["test"]) == len(found["val"]) == 2


def test_another_seed_is_another_division() -> None:
    rows = [raw(str(i)) for i in range(20)]
    first, again = (egotaskqa_splits.prepare(rows, "direct", seed=1).rows for _ in range(2))
    assert first == again
    assert first != egotaskqa_splits.prepare(rows, "direct", seed=2).rows


def test_an_answer_with_a_capital_letter_is_unknown_outside_training() -> None:
    rows = [raw(str(i), "Cup") for i in range(10)]
    official = egotaskqa_splits.prepare(rows, "direct")
    assert official.answers == ["<UNK0>", "<UNK1>", "cup"]
    codes = {part: {r["answer_encode"] for r in found} for part, found in official.rows.items()}
    assert codes == {"train": {2}, "val": {1}, "test": {1}}
    lower = egotaskqa_splits.prepare(rows, "direct", answer_case="lower")
    assert {r["answer_encode"] for found in lower.rows.values() for r in found} == {2}


def test_videos_are_numbered_by_first_appearance() -> None:
    tagged = egotaskqa_splits.tag([raw("b"), raw("a"), raw("b")])
    assert [row["video_id"] for row in tagged] == [0, 1, 0]
    assert [row["question_id"] for row in tagged] == [0, 1, 2]
    assert tagged[0]["reasoning_type"] == "descriptive$world$state$verify$direct"


def test_a_raw_row_without_a_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "qas.json"
    row = raw()
    del row["program"]
    path.write_text(json.dumps([raw(), row]))
    with pytest.raises(EgolibError, match="record \\[1\\].program: the field is missing"):
        egotaskqa_splits.read_raw(path)
    path.write_text(json.dumps([raw(type="descriptive")]))
    with pytest.raises(EgolibError, match="record \\[0\\].type: wanted: a valid list"):
        egotaskqa_splits.read_raw(path)
