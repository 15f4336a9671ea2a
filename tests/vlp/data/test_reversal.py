from __future__ import annotations

import pytest

from egolib.vlp.data.egoclip import Choice, Question
from egolib.vlp.data.reversal import opposite_clips, opposite_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("#C C stirs the pan", None),
        ("#O a man X opens the door", None),
        ("#C C puts", None),
        ("#C C opens the box", ("#C C opens the box", "#C C closes the box", "opens")),
        ("#C C shuts the red box", ("#C C closes the red box", "#C C opens the red box", "closes")),
        (
            "#C C puts down the mug on the table",
            ("#C C puts the mug", "#C C takes the mug", "puts"),
        ),
        (
            "#C C switches off the lamp",
            ("#C C turns off the lamp", "#C C turns on the lamp", "turns off"),
        ),
    ],
)
def test_texts(text: str, expected: tuple[str, str, str] | None) -> None:
    assert opposite_texts(text) == expected


def test_every_clip_once() -> None:
    opens, stirs = (
        Choice("v", 1.0, 2.0, "#C C opens the jar"),
        Choice("v", 3.0, 4.0, "#C C stirs the pan"),
    )
    question = Question("0", "#C C opens the jar", (opens, stirs, opens), 0, 2)
    (found,) = opposite_clips([question, question])
    assert (found.clip, found.verb) == (opens, "opens")
    assert opposite_clips([]) == []
