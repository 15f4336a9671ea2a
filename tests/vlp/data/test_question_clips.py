from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vlp.data.clips import View
from egolib.vlp.data.question_clips import (
    IntervalVideos,
    QuestionTraining,
    by_interval,
    question_tokens,
)
from egolib.vlp.data.sampling import drawer
from tests.vlp.questions import interval_videos, questions
from tests.vlp.small import shown, tokenizer

VIEW = View(frames=4, side=32)


def test_frames_of_an_interval(tmp_path: Path) -> None:
    videos = IntervalVideos(interval_videos(tmp_path))
    assert shown(videos.images("a", 4)) == [2, 7, 12, 17]
    drawn = shown(videos.images("a", 4, drawer(np.random.default_rng(0))))
    assert [frame // 5 for frame in drawn] == [0, 1, 2, 3]
    assert all(frame % 5 < 4 for frame in drawn)  # the last of each part is never drawn


def test_a_short_or_missing_video_is_named(tmp_path: Path) -> None:
    folder = interval_videos(tmp_path, frames=6)
    rng = np.random.default_rng(0)
    with pytest.raises(EgolibError, match=r"record a: .*too short"):
        IntervalVideos(folder).view("a", VIEW, draw=drawer(rng))
    with pytest.raises(EgolibError, match=r"record none: .*none.mp4"):
        IntervalVideos(folder).view("none", VIEW)
    repeated = IntervalVideos(folder, "repeat").images("a", 4, drawer(rng))
    assert len(shown(repeated)) == 4


def test_questions_are_lower_cased_padded_and_cut() -> None:
    ids, mask = question_tokens(tokenizer(), ["  Takes THE mug ", "a a a a a a a a"], 6)
    assert ids.tolist() == [[0, 6, 8, 9, 2, 1], [0, 11, 11, 11, 11, 2]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0], [1] * 6]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return interval_videos(tmp_path)


@pytest.mark.parametrize("augment, equal", [("official", True), ("train", False)])
def test_training_sees_the_evaluation_view_unless_asked(
    folder: Path, augment: str, equal: bool
) -> None:
    videos = IntervalVideos(folder)
    data = QuestionTraining(questions(), videos, tokenizer(), VIEW, 7, augment)  # type: ignore[arg-type]
    assert len(data) == 5
    item = data.sample(2, np.random.default_rng(3))
    plain = videos.view("a", VIEW, draw=drawer(np.random.default_rng(3)))
    means = item.video.mean((1, 2, 3)), plain.mean((1, 2, 3))
    torch.testing.assert_close(means[0], means[1], atol=0.1, rtol=0)  # the same frames
    assert torch.equal(item.video, plain) == equal


def test_a_batch(folder: Path) -> None:
    data = QuestionTraining(questions(), IntervalVideos(folder), tokenizer(), VIEW, 7)
    batch = data.collate([data.sample(i, np.random.default_rng(i)) for i in (0, 3)])
    assert batch.video.shape == (2, 4, 3, 32, 32)
    assert batch.ids.shape == batch.mask.shape == (2, 7)
    assert batch.answer.tolist() == [0, 3]


def test_questions_by_interval() -> None:
    assert by_interval(questions()) == {"a": [0, 2, 4], "b": [1, 3]}
    assert by_interval([]) == {}
