"""Optimiser, schedule, when to evaluate, which weights; and a training that learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.engine.config import total_updates
from egolib.engine.fit import FitResult, fit
from egolib.engine.job import Job
from egolib.nlq.config.span import (
    THRESHOLDS,
    TOP_K,
    SpanInferConfig,
    SpanTrainConfig,
    published_fit,
)
from egolib.nlq.data.truth import truth_of
from egolib.nlq.evaluation import evaluate
from egolib.nlq.models.vslnet.infer import SpanGrounder
from egolib.nlq.models.vslnet.losses import SpanLoss
from egolib.nlq.models.vslnet.training import (
    chosen_weights,
    decays,
    evaluation_updates,
    make_optimizer,
    parameter_groups,
    schedule,
)
from tests.nlq.vslnet.small import DATA, FULL, data, network


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("feature_encoder.pos_embedding.position_embeddings.weight", True),
        ("cq_attention.w4mlu", True),
        ("predictor.start_layer_norm.weight", False),
        ("predictor.encoder.conv_block.layer_norms.0.weight", False),
        ("query_affine.bias", False),
    ],
)
def test_what_decays(name, expected):
    assert decays(name) == expected


def test_groups_hold_every_parameter_once():
    model = network()
    groups = parameter_groups(model, SpanTrainConfig(learning_rate=0.1))
    names = [name for group in groups for name in group["names"]]
    assert sorted(names) == sorted(dict(model.named_parameters()))
    assert [(g["lr"], g["weight_decay"]) for g in groups] == [(0.1, 0.01), (0.1, 0.0)]
    optimizer = make_optimizer(model, SpanTrainConfig())
    assert optimizer.param_groups[0]["eps"] == 1e-6
    assert optimizer.param_groups[1]["betas"] == (0.9, 0.999)


def test_schedule():
    factor = schedule(SpanTrainConfig(), 10)
    np.testing.assert_allclose([factor(t) for t in range(12)], [*np.arange(10, -1, -1) / 10, 0])
    warm = schedule(SpanTrainConfig(warmup=0.2), 10)
    np.testing.assert_allclose([warm(t) for t in (0, 1, 2, 6, 10)], [0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("per_epoch", "expected"),
    [(4, [2, 4, 6, 8]), (5, [2, 4, 5, 6, 8, 10]), (1, [1, 2])],
)
def test_when_the_validation_set_is_looked_at(per_epoch, expected):
    assert evaluation_updates(per_epoch, 2) == expected


def test_which_weights_are_the_result():
    result = FitResult(Path("model"), Path("best"), None, [], 1)
    assert chosen_weights(result, SpanTrainConfig()) == Path("best")
    assert chosen_weights(result, SpanTrainConfig(select_on="last")) == Path("model")
    assert chosen_weights(replace(result, best=None), SpanTrainConfig()) == Path("model")


def test_published_length():
    """Version 1 of the annotations: 11,291 questions in batches of 32, the last one smaller."""
    assert total_updates(11291, published_fit()) == 50 * 353


def test_it_learns_by_heart(tmp_path):
    """The engine trains it on six questions, until it finds their windows again."""
    questions, train = data(), SpanTrainConfig(learning_rate=1e-2)
    settings = replace(published_fit(), epochs=120, batch_size=3, device="cpu", evaluate_every=40)

    def score(model: torch.nn.Module) -> dict[str, float]:
        found = SpanGrounder(model, DATA, SpanInferConfig()).predict(questions)
        truth = truth_of(questions.queries)
        return evaluate(found, truth, thresholds=THRESHOLDS, top_k=TOP_K).percentages()

    def build() -> Job:
        model = network(FULL)
        return Job(
            model=model,
            loss=SpanLoss(),
            data=questions,
            optimizer=make_optimizer(model, train),
            schedule=schedule(train, total_updates(len(questions), settings)),
            evaluate=score,
        )

    result = fit(build, settings, tmp_path, seed=0, fingerprint="x")
    before, after = score(network(FULL)), result.evaluations()[-1]
    assert after["r1_at_0.5"] > 80 > before["r1_at_0.5"]
    assert result.best is not None
