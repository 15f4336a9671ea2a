"""Losses of whole batches: padding, a few updates, the validation set."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.nlq.config import LossConfig, OptimConfig
from egolib.nlq.losses.training import TrainingLoss, validation_loss
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.optim import make_optimizer
from tests.nlq.small import CUES, data, network


def test_cropped_training_equals_padded_training():
    questions = data(lengths=(60, 30))
    items = [questions.sample(i, None) for i in range(4)]  # type: ignore[arg-type]
    results = []
    for padding in ("official", "cropped"):
        questions.video_padding = padding
        model, loss = network().train(), TrainingLoss(LossConfig())
        for module in model.modules():
            if hasattr(module, "probability"):
                module.probability = 0.0
        values = loss(model, questions.collate(items))
        values["loss"].backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters()])
        results.append((values["loss"].item(), gradients))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-5)


def test_a_few_updates_lower_the_loss():
    config, questions = replace(CUES, drop_path=0.0), data(CUES)
    model = GroundNLQ(config).train()
    loss = TrainingLoss(LossConfig(initial_normalizer=20, normalizer_momentum=1.0))
    optimizer = make_optimizer(model, OptimConfig(learning_rate=3e-3))
    batch = questions.collate([questions[i] for i in range(len(questions))])
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        values = loss(model, batch)
        values["loss"].backward()
        optimizer.step()
        losses.append(values["loss"].item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("behaviour", "moves"), [("official", True), ("clean", False)])
def test_validation_loss(behaviour, moves):
    """The official one keeps stochastic depth on and moves the normaliser."""
    questions = data()
    batch = questions.collate([questions[i] for i in range(6)])
    model, loss = network().train(), TrainingLoss(LossConfig())
    found = [validation_loss(model, loss, [batch], behaviour)["loss"] for _ in range(4)]
    assert (loss.loss.normalizer != 200) == moves
    assert (len(set(found)) > 1) == moves
    assert model.training
