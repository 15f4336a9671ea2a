from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from egolib.vlp.benchmarks.answering import Answerer, make_optimizer
from egolib.vlp.config.published import egotaskqa_direct, egotaskqa_indirect
from egolib.vlp.data.question_clips import IntervalVideos, question_tokens
from egolib.vlp.optim import schedule
from tests.vlp.questions import ANSWERS, answering_model, interval_videos, questions
from tests.vlp.small import tokenizer


@pytest.fixture
def videos(tmp_path: Path) -> IntervalVideos:
    return IntervalVideos(interval_videos(tmp_path))


def answerer(videos: IntervalVideos, batch: int = 2, **settings: Any) -> Answerer:
    model = answering_model()
    return Answerer(model, tokenizer(), videos, text_length=7, batch=batch, **settings)


def uniform_answerer(videos: IntervalVideos) -> Answerer:
    return answerer(videos, frames="uniform")


def test_one_clip_serves_all_its_questions(videos: IntervalVideos) -> None:
    """Equal to every question alone; each interval is read once."""
    asked, uniform = questions(), uniform_answerer(videos)
    with mock.patch.object(videos, "images", wraps=videos.images) as images:
        found = uniform.scores(asked)
    assert images.call_count == 2
    assert found.shape == (5, ANSWERS)
    ids, mask = (
        torch.from_numpy(a) for a in question_tokens(tokenizer(), [q.text for q in asked], 7)
    )
    with torch.no_grad():
        for i, question in enumerate(asked):
            clip = videos.view(question.interval, uniform.view)[None]
            alone = uniform.model(clip, ids[i : i + 1], mask[i : i + 1])
            np.testing.assert_allclose(found[i], alone[0].numpy(), atol=1e-5)


def test_official_sampling_draws_by_seed_and_question(videos: IntervalVideos) -> None:
    asked = questions()
    official = answerer(videos).scores(asked)
    again = answerer(videos, batch=3).scores(asked)
    other = answerer(videos, seed=1).scores(asked)
    np.testing.assert_allclose(official, again, atol=1e-5)
    assert np.abs(official - other).max() > 1e-4
    assert np.abs(official - uniform_answerer(videos).scores(asked)).max() > 1e-4


def test_no_question(videos: IntervalVideos) -> None:
    assert uniform_answerer(videos).scores([]).shape == (0, ANSWERS)


def test_all_parameters_are_one_group_at_the_published_rates() -> None:
    model = answering_model()
    (group,) = make_optimizer(model, egotaskqa_indirect()[2]).param_groups
    assert len(group["params"]) == len(list(model.parameters()))
    assert (group["lr"], group["weight_decay"], group["betas"]) == (1e-4, 0.01, (0.9, 0.999))
    factor = schedule(egotaskqa_direct()[2], 100)
    assert [factor(0), factor(5), factor(10)] == [0.0, 0.5, 1.0] and factor(100) < 1e-9
