"""Items and batches."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.engine.loading import TrainingData
from egolib.errors import EgolibError
from egolib.nlq.config import DataConfig
from egolib.nlq.data.dataset import NlqData, collate, jitter_windows, official_order, resample
from tests.nlq.small import CUES, SMALL, Memory, data


def test_items():
    questions = data()
    assert isinstance(questions, TrainingData)
    item = questions[1]
    assert item.video.shape == (60, 12) and item.video.dtype == np.float32
    expected = np.array(item.query.windows_sec) * 30 / 16.043
    np.testing.assert_allclose(item.windows_feat, expected)
    assert item.windows_feat.dtype == np.float64
    assert item.labels.tolist() == [0]


@pytest.mark.parametrize("rng", [random.Random(0), np.random.default_rng(0)])
def test_jittered_windows_hold_the_true_one(rng):
    windows = np.array([[10.0, 14.0], [3.0, 3.5]])
    drawn = np.array([jitter_windows(windows, rng) for _ in range(200)])
    assert (drawn[..., 0] <= windows[:, 0] + 1e-9).all()
    assert (drawn[..., 1] >= windows[:, 1] - 1e-9).all()
    stretch = (drawn[..., 1] - drawn[..., 0]) / (windows[:, 1] - windows[:, 0])
    assert set(stretch.round(6).ravel().tolist()) == set(map(float, range(1, 11)))


def test_jitter_is_an_option_and_repeatable():
    plain, jittered = data(), data(jitter="official")
    draws = [jittered.sample(0, np.random.default_rng(s)).windows_feat for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    unchanged = plain.sample(0, np.random.default_rng(1)).windows_feat
    np.testing.assert_array_equal(unchanged, plain[0].windows_feat)


def test_jitter_of_no_windows():
    assert jitter_windows(np.zeros((0, 2)), random.Random(0)).shape == (0, 2)


def test_official_order_is_pythons_shuffle():
    queries = data().queries
    expected = list(queries)
    random.Random(5).shuffle(expected)
    assert official_order(queries, random.Random(5)) == expected


@pytest.mark.parametrize(("padding", "length"), [("official", 256), ("cropped", 65)])
def test_batches(padding, length):
    questions = data(video_padding=padding)
    items = [questions[0], questions[3]]
    batch = questions.collate(items)
    assert batch.video.shape == (2, length, 12) and len(batch) == 2
    assert batch.video_mask.sum(1).tolist() == batch.valid == [60, 17]
    assert (batch.video[1, 17:] == 0).all()
    longest = max(len(item.tokens["query"]) for item in items)
    assert batch.tokens["query"].shape == (2, longest, 6)
    assert batch.windows[0].dtype == torch.float64


def test_batches_move_as_one():
    batch = data(CUES).collate([data(CUES)[0]]).to("meta")
    assert {t.device.type for t in [batch.video, *batch.tokens.values(), *batch.windows]} == {
        "meta"
    }


def test_questions_without_answers():
    questions = data()
    questions.queries = [replace(q, windows_sec=None) for q in questions.queries]
    item = questions.sample(0, np.random.default_rng(0))
    assert item.windows_feat is None
    assert questions.collate([item]).windows[0].shape == (0, 2)


def test_clips_that_are_too_long():
    questions = data(replace(SMALL, max_length=50))
    with pytest.raises(EgolibError, match=r"clip0.*60 features"):
        questions[0]
    questions.data = DataConfig(too_long="resample")
    item = questions[0]
    assert item.video.shape == (50, 12)
    expected = np.array(item.query.windows_sec) * 30 / (16.043 * 60 / 50)
    np.testing.assert_allclose(item.windows_feat, expected)


def test_resampling_a_ramp():
    ramp = np.arange(10, dtype=np.float32)[:, None]
    np.testing.assert_allclose(resample(ramp, 5)[:, 0], [0.5, 2.5, 4.5, 6.5, 8.5])


def test_cues_may_be_stored_by_clip_or_lack():
    questions = data(CUES)
    query = questions.queries[0]
    clip_wide = {query.clip_uid: np.ones((4, 5))}
    questions.texts["objects"] = Memory("text", clip_wide, 5)
    assert questions[0].tokens["objects"].shape == (4, 5)
    assert questions[5].tokens["objects"].shape == (0, 5)
    batch = collate([questions[5]], CUES)
    assert not batch.token_masks["objects"].any()


def test_widths_are_checked():
    questions = data()
    wide = replace(SMALL, video_streams=(("video", 2304),))
    with pytest.raises(EgolibError, match="12 wide, the network expects 2304"):
        NlqData(questions.queries, questions.video, questions.texts, wide, DataConfig())
    with pytest.raises(EgolibError, match="objects|captions"):
        NlqData(questions.queries, questions.video, questions.texts, CUES, DataConfig())
