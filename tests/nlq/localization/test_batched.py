"""Batches of several clips, decoded on their device, against one clip after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.nlq.api import Grounder, question_parts
from egolib.nlq.config import InferConfig
from egolib.nlq.localization.batched import in_batches, rounded_length
from egolib.nlq.localization.decode import candidates
from egolib.nlq.localization.on_device import NONE, best_windows, decodes
from egolib.nn.points import Predictions, make_points, pyramid_lengths
from egolib.ops.segments import Suppression, suppress
from tests.nlq.small import CUES, SMALL, data, network


@pytest.mark.parametrize(("config", "padding"), [(SMALL, "official"), (CUES, "per_query")])
def test_batches_give_the_answers_of_single_clips(config, padding):
    infer = InferConfig(text_batch=4, clip_batch=2, text_padding=padding)
    grounder, questions = Grounder(network(config)), data(config, (60, 17, 40, 200))
    parts = question_parts(questions.queries, infer)
    tokens = [questions.tokens(query) for query in questions.queries]
    found = {
        index: moments
        for part, answers in grounder.stream_batches(questions, parts, tokens, infer)
        for index, moments in zip(part, answers, strict=True)
    }
    expected = grounder.answers(questions, infer)
    assert sorted(found) == list(range(12))
    for index, alone in enumerate(expected):
        np.testing.assert_allclose(found[index].segments_sec, alone.segments_sec, atol=1e-3)
        np.testing.assert_allclose(found[index].scores, alone.scores, atol=1e-5)
        assert found[index].question == alone.question


@pytest.mark.parametrize("most", [2000, 20])
def test_decoding_on_the_device_finds_the_same_windows(most):
    lengths = pyramid_lengths(90, 4)
    generator = torch.Generator().manual_seed(0)
    points = sum(lengths)
    mask = torch.rand(3, points, generator=generator) < 0.8
    predictions = Predictions(
        2 * torch.randn(3, points, 1, generator=generator) - 2,
        3 * torch.rand(3, points, 2, generator=generator),
        mask,
        lengths,
    )
    predictions.logits[2] = -20.0  # nothing is likely enough
    infer = InferConfig(candidates_per_level=most)
    found = best_windows(predictions, infer, make_points(lengths)).numpy()
    scores = (predictions.logits.sigmoid() * mask[..., None]).numpy()
    for row in range(3):
        c = candidates(scores[row], predictions.offsets[row].numpy(), lengths, infer)
        segments, kept, _ = suppress(c.segments, c.scores, c.labels, infer.suppression)
        there = found[row, :, 2] > NONE
        assert there.sum() == len(kept) == (5 if row < 2 else 0)
        np.testing.assert_allclose(found[row, there, :2], segments, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(found[row, there, 2], kept, rtol=1e-5)


def test_other_decoders_stay_on_the_host():
    assert decodes(InferConfig(), 1)
    assert not decodes(InferConfig(), 2)
    assert not decodes(InferConfig(suppression=Suppression(method="hard")), 1)
    assert not decodes(InferConfig(suppression=replace(Suppression(), per_class=False)), 1)


def test_batches_hold_clips_of_similar_length():
    parts = [list(range(11 * n, 11 * n + 11)) for n in range(6)]
    found = list(in_batches(parts, [50, 900, 60, 40, 800, 70]))
    assert [[part[0] // 11 for part in batch] for batch in found] == [[3, 0, 2, 5], [4, 1]]


def test_lengths_recur():
    config = replace(SMALL, max_length=2560)
    lengths = {rounded_length(n, config) for n in range(1, 2561)}
    assert len(lengths) <= 11 and max(lengths) == 2560
