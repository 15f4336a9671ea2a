from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from egolib.vlp.data.egoclip import Choice
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.reversal import OppositeClip
from egolib.vlp.steps.evaluate import Scored, reversal_accuracy, some_sentences, table

CLIP = Choice("v", 0.0, 1.0, "")
OPENS, CLOSES = (OppositeClip(CLIP, "", "", verb) for verb in ("opens", "closes"))


def test_a_preference_for_one_verb_is_chance() -> None:
    clips = [OPENS] * 9 + [CLOSES]
    always_opens = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    found = reversal_accuracy(
        clips, {"ordered": always_opens, "shuffled": always_opens[:, :1] * [[1, 0]]}
    )
    assert found["ordered"] == 50.0
    perfect = reversal_accuracy(clips, {"ordered": np.array([[1.0, 0.0]] * 10)})
    assert perfect == {"ordered": 100.0}


def test_tables_of_what_is_there() -> None:
    assert table(Scored()).empty
    scored = Scored({"epic": {"mAP_AVG": 1.0}}, {"zero_shot": {"epic": {"mAP_AVG": 2.0}}})
    assert table(scored)["mAP_AVG"].tolist() == [1.0, 2.0]


def test_sentences_with_a_relevant_clip() -> None:
    relevancy = np.array([[1.0, 0.5, 1.0], [0.0, 0.5, 1.0]])
    split = EpicSplit(None, None, relevancy, "")  # type: ignore[arg-type]
    assert some_sentences(split, 5) == [0, 2]


@pytest.mark.parametrize("module", ["evaluate", "data", "figures"])
def test_no_torch(module: str) -> None:
    code = f"import sys, egolib.vlp.steps.{module}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
