"""Optimisation pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.engine.job import MovingAverage
from egolib.errors import EgolibError
from egolib.nlq.api import save
from egolib.nlq.config import LossConfig, TrainConfig
from egolib.nlq.formats.checkpoint import to_official
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.steps.train import (
    HEADS,
    TrainingLoss,
    initial_average,
    load_initial,
    make_optimizer,
    parameter_groups,
    schedule,
    validation_loss,
)
from tests.nlq.small import CUES, SMALL, data, network


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_every_parameter_is_in_one_group(rate):
    model = network(replace(CUES, relative_bias=True))
    groups = parameter_groups(model, TrainConfig(backbone_rate=rate))
    names = [name for group in groups for name in group["names"]]
    assert sorted(names) == sorted(dict(model.named_parameters()))
    assert len(groups) == (2 if rate == 1 else 4)
    for group in groups:
        head = all(name.startswith(HEADS) for name in group["names"])
        assert group["lr"] == pytest.approx(1e-4 * (1 if rate == 1 or head else rate))
        assert all(
            (name.endswith("weight") and "norm" not in name) or not group["weight_decay"]
            for name in group["names"]
        )


def test_optimizers():
    model = network()
    assert isinstance(make_optimizer(model, TrainConfig()), torch.optim.AdamW)
    sgd = make_optimizer(model, TrainConfig(optimizer="sgd", momentum=0.8))
    assert sgd.defaults["momentum"] == 0.8


def test_schedule_of_the_published_training():
    factor = schedule(TrainConfig(warmup_epochs=5), 13, 10)
    assert factor(0) == 0
    assert factor(49) == factor(50) == 1
    assert factor(90) == pytest.approx(0.5, abs=1e-3)
    assert factor(130) == pytest.approx(1e-4)  # 1e-8 of 1e-4


@pytest.mark.parametrize("name", ["constant", "steps"])
def test_other_schedules(name):
    factor = schedule(TrainConfig(warmup_epochs=1, schedule=name, milestones=(5,)), 4, 10)
    assert factor(14) == 1
    assert factor(15) == (1 if name == "constant" else pytest.approx(0.1))


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
    optimizer = make_optimizer(model, TrainConfig(learning_rate=3e-3))
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


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("heads", ["official", "kept"])
def test_initial_weights(tmp_path, foreign, heads):
    trained, fresh = network(seed=0), network(seed=1)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    if foreign:
        path = tmp_path / "epoch_005.pth.tar"
        torch.save({"epoch": 5, "state_dict": to_official(trained)}, path)
    else:
        path = save(tmp_path / "trained.safetensors", trained)
    load_initial(fresh, path, heads)
    for name, value in fresh.state_dict().items():
        source = before if heads == "official" and name.startswith(HEADS) else trained.state_dict()
        assert torch.equal(value, source[name])


def test_initial_weights_of_another_network(tmp_path):
    path = save(tmp_path / "other.safetensors", network(replace(SMALL, width=8)))
    with pytest.raises(EgolibError, match="another network"):
        load_initial(network(), path)


def test_where_the_average_starts():
    """The official average of a fine-tuning starts at random weights and stays far behind."""
    fresh, loaded = network(seed=1), network(seed=0)
    distances = {}
    for behaviour in ("official", "loaded"):
        start = initial_average(fresh.state_dict(), loaded.state_dict(), behaviour)
        average = MovingAverage(loaded, 0.999, start)
        for _ in range(100):
            average.update(loaded)
        state = loaded.state_dict()
        distances[behaviour] = sum((average.state[n] - v).norm().item() for n, v in state.items())
    assert distances["loaded"] < 0.1
    assert distances["official"] > 10
