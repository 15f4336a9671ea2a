"""Optimisation pieces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.engine.job import MovingAverage
from egolib.errors import EgolibError
from egolib.nlq.api import save
from egolib.nlq.config import OptimConfig
from egolib.nlq.formats.checkpoint import to_official
from egolib.nlq.optim import (
    HEADS,
    initial_average,
    load_initial,
    make_optimizer,
    parameter_groups,
    schedule,
)
from tests.nlq.small import CUES, SMALL, network


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_every_parameter_is_in_one_group(rate):
    model = network(replace(CUES, relative_bias=True))
    groups = parameter_groups(model, OptimConfig(backbone_lr_factor=rate))
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
    assert isinstance(make_optimizer(model, OptimConfig()), torch.optim.AdamW)
    sgd = make_optimizer(model, OptimConfig(optimizer="sgd", momentum=0.8))
    assert sgd.defaults["momentum"] == 0.8
    adamw = make_optimizer(model, OptimConfig(betas=(0.8, 0.9), epsilon=1e-3))
    assert (adamw.defaults["betas"], adamw.defaults["eps"]) == ((0.8, 0.9), 1e-3)


def test_schedule_of_the_published_training():
    factor = schedule(OptimConfig(warmup_epochs=5), 13, 10)
    assert factor(0) == 0
    assert factor(49) == factor(50) == 1
    assert factor(90) == pytest.approx(0.5, abs=1e-3)
    assert factor(130) == pytest.approx(1e-4)  # 1e-8 of 1e-4


@pytest.mark.parametrize("name", ["constant", "multistep"])
def test_other_schedules(name):
    factor = schedule(OptimConfig(warmup_epochs=1, schedule=name, milestones=(5,)), 4, 10)
    assert factor(14) == 1
    assert factor(15) == (1 if name == "constant" else pytest.approx(0.1))


def test_warm_up_in_updates_and_from_a_factor():
    config = OptimConfig(warmup_epochs=0, warmup_updates=5, warmup_start_factor=0.2)
    factor = schedule(config, 4, 10)
    assert [round(factor(t), 6) for t in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


def test_milestones_in_epochs():
    config = OptimConfig(
        warmup_epochs=1, schedule="multistep", milestones=(1,), milestone_unit="epochs"
    )
    factor = schedule(config, 4, 10)
    assert (factor(19), factor(20)) == (1, pytest.approx(0.1))


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


def test_initial_weights_that_fit_in_part_are_refused(tmp_path):
    """A start that lacks a block is an error with the report, not a warning."""
    state = {k: v for k, v in to_official(network()).items() if "vid_stem.1." not in k}
    torch.save({"state_dict": state}, tmp_path / "part.pth.tar")
    with pytest.raises(EgolibError, match=r"another network.*missing: stem\.1\."):
        load_initial(network(), tmp_path / "part.pth.tar")


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
