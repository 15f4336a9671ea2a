"""Answers: batches, orders, records, single questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.io.features import Provenance
from egolib.nlq.config.span import THRESHOLDS, TOP_K, SpanInferConfig
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.models.vslnet.infer import SpanGrounder
from tests.nlq.small import Memory
from tests.nlq.vslnet.small import DATA, FULL, data, network, queries, source

OFFICIAL = SpanInferConfig()


def scores(config, infer):
    answers = SpanGrounder(network(config), DATA, infer).answers(data(config))
    return np.stack([answer.scores for answer in answers])


def test_records_are_scored_by_the_tasks_evaluator():
    questions = data()
    records = SpanGrounder(network(), DATA).predict(questions)
    assert [r["query_idx"] for r in records] == [0, 1] * 3
    assert all(len(r["predicted_times"]) == 5 for r in records)
    found = evaluate(
        records[:4], truth_of(questions.queries), thresholds=THRESHOLDS, top_k=TOP_K
    )  # fmt: skip
    assert (found.evaluated, found.missing) == (4, 2)
    assert (np.diff(found.recall.values, axis=1) >= 0).all()


def test_windows_lie_in_their_clips():
    for answer in SpanGrounder(network(), DATA).answers(data()):
        assert (answer.segments_sec >= 0).all()
        assert (answer.segments_sec <= answer.duration_sec + 1e-5).all()
        assert (answer.segments_sec[:, 0] < answer.segments_sec[:, 1]).all()
        assert answer.truth_sec.shape == (1, 2)


def test_the_batch_changes_answers_officially():
    """A clip is padded as far as its batch's longest; per_clip does not depend on it."""
    single, order = (replace(OFFICIAL, batch_size=1), replace(OFFICIAL, batch_order="by_length"))
    together, alone = scores(FULL, OFFICIAL), scores(FULL, single)
    np.testing.assert_allclose(together[:2], alone[:2], rtol=1e-5)  # the longest clip
    assert not np.allclose(together[2:], alone[2:], rtol=1e-4)
    isolated = replace(FULL, padding="per_clip")
    for other in (single, replace(order, batch_size=2)):
        np.testing.assert_allclose(scores(isolated, OFFICIAL), scores(isolated, other), rtol=1e-4)


def test_clips_of_like_length_together():
    lengths = (9, 30, 17)
    questions = data(lengths=lengths)
    infer = SpanInferConfig(batch_size=2, batch_order="by_length")
    grounder = SpanGrounder(network(), DATA, infer)
    assert list(grounder.parts(questions)) == [[0, 1], [4, 5], [2, 3]]
    answers = grounder.answers(questions)
    alone = SpanGrounder(network(), DATA, replace(OFFICIAL, batch_size=2)).answers(questions)
    for found, expected in zip(answers, alone, strict=True):
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


def test_a_single_question():
    query = queries()[0]
    features = source().get(query)
    grounder = SpanGrounder(network(), DATA)
    asked = []

    def encoder(text):
        asked.append(text)
        return features.tokens, features.mask

    found = grounder.ground(
        features.video, "  WHAT 0? ", text_encoder=encoder, duration_sec=query.duration_sec
    )
    assert asked == ["what 0?"] and found.question == "  WHAT 0? "
    expected = grounder.answer_items([data()[0]])[0]
    np.testing.assert_array_equal(found.segments_sec, expected.segments_sec)


def test_a_question_to_a_store():
    store = Memory("video", {"c": np.ones((20, 12))}, 12)
    grounder = SpanGrounder(network(), DATA)
    with pytest.raises(EgolibError, match="does not say its fps"):
        grounder.ground(store, "what", text_encoder=lambda text: np.ones((3, 6)), uid="c")
    store.provenance = Provenance("video", 12, fps=30.0, stride_frames=15.0)
    found = grounder.ground(store, "what", text_encoder=lambda text: np.ones((3, 6)), uid="c")
    assert found.duration_sec == 10


def test_a_question_to_an_array_of_unknown_length():
    with pytest.raises(EgolibError, match="give duration_sec"):
        SpanGrounder(network(), DATA).ground(
            np.ones((20, 12)), "what", text_encoder=lambda text: np.ones((3, 6))
        )


def test_no_gradients_and_evaluation_mode():
    grounder = SpanGrounder(network(replace(FULL, dropout=0.5)).train(), DATA)
    items = [data()[0]]
    first, second = (grounder.answer_items(items)[0] for _ in range(2))
    np.testing.assert_array_equal(first.scores, second.scores)
    assert not grounder.model.training and not torch.is_inference_mode_enabled()
