from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.data import egotaskqa, egotaskqa_splits
from egolib.vlp.data.sampling import drawer
from tests.vlp.questions import raw

# ---------------------------------------------------------------------------- reading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [raw(str(i), answer) for i, answer in enumerate(["yes", "no"] * 10)]
    for split in egotaskqa.SPLITS:
        indirect = [row | {"reference": "indirect"} for row in rows]
        both = egotaskqa_splits.prepare(rows + indirect, split)
        egotaskqa_splits.write_prepared(tmp_path / split, both)
    return tmp_path


def edit(path: Path, place: int, **changes: Any) -> None:
    rows = json.loads(path.read_text())
    rows[place].update(changes)
    path.write_text(json.dumps(rows))


def test_read_back(folder: Path) -> None:
    questions = egotaskqa.read_questions(folder / "direct", "val")
    assert len(questions) == 8
    assert {q.answer for q in questions} == {"yes", "no"}
    answers = egotaskqa.read_answers(folder / "direct")
    assert all(answers[q.answer_index] == q.answer for q in questions)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"answer_encode": 4}, "answer_encode 4 is none of the 4 answers"),
        ({"answer_encode": -1}, "answer_encode -1 is none"),
        ({"answer_encode": "2"}, 'answer_encode "2" is none'),
        ({"answer_encode": True}, "answer_encode true is none"),
        ({"question": "  "}, "the question is empty"),
        ({"reasoning_type": "descriptive$wrld"}, "unknown reasoning type 'wrld'; did you mean"),
    ],
)
def test_bad_rows_are_listed_before_anything_is_computed(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    path = egotaskqa.part_file(folder / "direct", "test")
    edit(path, 1, **changes)
    edit(path, 3, **changes)
    with pytest.raises(EgolibError, match="2 records cannot be used") as error:
        egotaskqa.read_questions(folder / "direct", "test")
    assert message in str(error.value) and str(path) in str(error.value)


def test_no_answer_file(folder: Path) -> None:
    (folder / "direct" / egotaskqa.ANSWERS).unlink()
    with pytest.raises(EgolibError, match=r"answer_set.txt: the file does not exist"):
        egotaskqa.read_questions(folder / "direct", "train")
    (folder / "direct" / egotaskqa.ANSWERS).write_text("")
    with pytest.raises(EgolibError, match="the answer set is empty"):
        egotaskqa.read_answers(folder / "direct")


def test_reasoning_types_come_from_the_published_file_or_from_both_lists(folder: Path) -> None:
    computed = egotaskqa.read_reasoning_index(folder)
    assert list(computed) == sorted(computed) and {"direct", "indirect"} <= set(computed)
    torch.save({"a": 0, "b": 1}, folder / egotaskqa.INDEX)
    assert egotaskqa.read_reasoning_index(folder) == {"a": 0, "b": 1}
    torch.save({"a": 0, "b": 2}, folder / egotaskqa.INDEX)
    with pytest.raises(EgolibError, match="not numbered from 0"):
        egotaskqa.read_reasoning_index(folder)
    (folder / egotaskqa.INDEX).unlink()
    for split in egotaskqa.SPLITS:
        (folder / split / egotaskqa.TYPES).unlink()
    with pytest.raises(EgolibError, match="does not exist"):
        egotaskqa.read_reasoning_index(folder)


def test_intervals_without_a_video_are_listed(folder: Path) -> None:
    questions = egotaskqa.read_questions(folder / "direct", "val")
    for question in questions[1:]:
        egotaskqa.video_file(folder, question.interval).touch()
    if questions[0].interval in {q.interval for q in questions[1:]}:
        egotaskqa.video_file(folder, questions[0].interval).unlink()
    with pytest.raises(EgolibError, match=f"no video of interval {questions[0].interval}"):
        egotaskqa.check_videos(questions, folder)


# --------------------------------------------------------------------------- sampling


def test_short_videos() -> None:
    draw = drawer(np.random.default_rng(0))
    with pytest.raises(EgolibError, match="no frame"):
        egotaskqa.interval_frames(0, 4)
    with pytest.raises(EgolibError, match="too short"):
        egotaskqa.interval_frames(7, 4, draw)
    assert egotaskqa.interval_frames(3, 4) == [0, 1, 2]
    for length in (1, 3, 7):
        for found in (
            egotaskqa.interval_frames(length, 4, draw, "repeat"),
            egotaskqa.interval_frames(length, 4, None, "repeat"),
        ):
            assert len(found) == 4
            assert found == sorted(found) and found[0] >= 0 and found[-1] < length
