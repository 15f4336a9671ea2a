"""Annotations: EPIC-KITCHENS relevancy and the Charades-Ego metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from egolib.vlp.data import charades, epic
from tests.parity.recordings import auxiliary, read


@pytest.mark.recordings("relevancy")
def test_relevancy(recording: Path) -> None:
    recorded = read(recording)
    tag = recording.stem.removeprefix("relevancy")
    clips = epic.read_epic_clips(auxiliary(recording, f"ek100_style{tag}.csv"))
    sentences = epic.make_sentences(clips)
    assert sentences.narration_ids == recorded["sentence_index"].tolist()
    assert sentences.narrations == recorded["sentence"].tolist()
    assert sentences.unique == recorded["n_unique"]
    parts = epic.relevancy_parts(clips, sentences)
    for name in ("caption", "verb", "noun"):
        np.testing.assert_array_equal(getattr(parts, name), recorded[name], err_msg=name)
    np.testing.assert_array_equal(epic.relevancy_matrix(clips, sentences), recorded["caption"])


@pytest.mark.recordings("charades_metadata")
def test_charades_metadata(recording: Path) -> None:
    split = recording.stem.removeprefix("charades_metadata_")
    videos = auxiliary(recording, f"CharadesEgo_v1_{split}_only1st.csv")
    classes = auxiliary(recording, "Charades_v1_classes.txt")
    text = charades.action_table(videos, classes)
    assert text.splitlines() == recording.read_text().splitlines()
