from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.io.records import Skipped
from egolib.vlp.config import DataConfig
from egolib.vlp.data.charades import Action
from egolib.vlp.data.clips import View
from egolib.vlp.data.epic import EpicClips, EpicSplit, Sentences
from egolib.vlp.data.retrieval import (
    CharadesTraining,
    CharadesVideos,
    EpicTraining,
    EpicVideos,
    charades_clips,
    epic_clips,
)
from tests.vlp.small import CONFIG, numbered_video, tokenizer

DATA = DataConfig(frame_jitter="inclusive", frame_seek="exact", text_length=6)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    numbered_video(root / "EK100/video_ht256px/P01/P01_01.MP4", 30)
    numbered_video(root / "CharadesEgo/CharadesEgo_v1_480/A.mp4", 30)
    return root


def split() -> EpicSplit:
    """Three clips, the last of which ends after its video; four sentences."""
    clips = EpicClips(
        ["a", "b", "c"],
        ["P01_01"] * 3,
        ["P01"] * 3,
        ["takes the mug", "puts a pan", "takes a pan"],
        np.array([0.0, 1.0, 2.5]),
        np.array([1.0, 2.0, 9.0]),
        np.zeros(3, int),
        np.zeros(3, int),
        [()] * 3,
    )
    sentences = Sentences(
        ["a", "b", "c", "a"], ["takes the mug", "puts a pan", "takes a pan", "mug"], np.zeros(4), 4
    )
    relevancy = np.array([[1.0, 0.1, 0.5, 0.0], [0.0, 0.05, 0.1, 0.0], [0.0, 0.0, 1.0, 0.0]])
    return EpicSplit(clips, sentences, relevancy, "made up")


def epic(root: Path, **changes: object) -> EpicTraining:
    settings = replace(DATA, **changes)  # type: ignore[arg-type]
    return EpicTraining(split(), EpicVideos(root), tokenizer(), CONFIG, settings)


def test_captions_are_drawn_above_the_threshold(root: Path) -> None:
    data, rng = epic(root), np.random.default_rng(0)
    drawn = {data.caption(0, rng) for _ in range(100)}
    assert drawn == {("takes the mug", 1.0, 0), ("takes a pan", 0.5, 2)}
    assert data.caption(1, rng) == ("puts a pan", 1.0, -1)  # none is: its own narration


def test_an_epic_batch(root: Path) -> None:
    data = epic(root)
    batch = data.collate([data.sample(i, np.random.default_rng(i)) for i in range(3)])
    assert batch.video.shape == (3, 2, 3, 32, 32) and batch.ids.shape == (3, 6)
    assert batch.clip_row.tolist() == [0, 1, 2] and batch.caption_column.tolist()[1:] == [-1, 2]
    assert batch.weight.dtype == torch.float32
    assert batch.black.tolist() == [False, False, True]  # past the end of its video


def test_epic_training_never_mirrors(root: Path) -> None:
    assert epic(root).view.flip == 0 and epic(root).view.kind == "epic"


def test_unreadable_epic_clips_can_be_left_out(root: Path) -> None:
    item = epic(root, unreadable="skip").sample(2, np.random.default_rng(0))
    assert item.read_error is None and item.clip_row == 0


def test_evaluation_lists_what_cannot_be_read(root: Path) -> None:
    skipped, view = Skipped(), View(2, 32, "epic")
    views = list(epic_clips(split().clips, EpicVideos(root), view, skipped=skipped))
    assert len(views) == 3 and list(skipped.reasons) == ["c"]
    assert len(list(epic_clips(split().clips, EpicVideos(root), view, rows=[1]))) == 1


def test_charades(root: Path) -> None:
    videos = CharadesVideos(root, DATA)
    actions = [Action("A", 3, 0.5, 2.0, "takes a mug"), Action("B", 1, 0.0, 1.0, "puts a pan")]
    data = CharadesTraining(actions, videos, tokenizer(), CONFIG, DATA)
    batch = data.collate([data.sample(i, np.random.default_rng(0)) for i in range(2)])
    assert batch.black.tolist() == [False, True]
    assert batch.weight.tolist() == [1, 1] and batch.clip_row.tolist() == [-1, -1]
    skipped = Skipped()
    assert len(list(charades_clips(["A", "B"], videos, View(2, 32), skipped=skipped))) == 2
    assert list(skipped.reasons) == ["B"]
