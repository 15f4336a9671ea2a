from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from egolib.vlp.benchmarks.question_scores import (
    answer_accuracies,
    frequent_answers,
    most_frequent_answer,
)
from egolib.vlp.data.egotaskqa import Question


def asked(text: str, answer: int, reasoning: str = "world$query$direct") -> Question:
    return Question("a", text, "", answer, tuple(reasoning.split("$")), text)


TRAIN = [asked("x", 2), asked("x", 3), asked("x", 3), asked("y", 2), asked("z", 2)]


def test_answers_without_a_video() -> None:
    assert most_frequent_answer(TRAIN, 2).tolist() == [2, 2]
    found = frequent_answers(TRAIN, [asked("x", 0), asked("new", 0)])
    assert found.tolist() == [3, 2]


@pytest.mark.parametrize(
    "max_types, average, overall", [("official", "official", 0.5), ("all", "questions", 0.75)]
)
def test_everything_that_is_reported(max_types: Any, average: Any, overall: float) -> None:
    questions = [asked(str(i), 1) for i in range(3)]
    questions.append(asked("long", 1, "a$b$c$d$e$f$g$verify"))
    found = answer_accuracies(
        np.array([1, 1, 1, 0]), questions, max_types=max_types, average=average, batch=3
    )
    assert found["table"] == {"open": 100.0, "binary": 0.0, "all": 75.0}
    assert found["overall"]["accuracy"] == overall
    assert found["types"]["world"] == 1.0
    assert ("verify" in found["types"]) == (max_types == "all")


def test_no_torch_behind() -> None:
    code = "import egolib.vlp.benchmarks.question_scores, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
