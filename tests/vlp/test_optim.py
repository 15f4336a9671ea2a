from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn

from egolib.errors import EgolibError
from egolib.vlp.config import OptimConfig, charades_finetune, epic_finetune
from egolib.vlp.optim import (
    LegacyAdamW,
    group_index,
    make_optimizer,
    parameter_groups,
    schedule,
    warmup_updates,
)
from tests.vlp.small import small_model


def literal_step(p: float, g: float, state: list[float], t: int, lr: float, wd: float) -> float:
    """One update of one number, as the older library writes it."""
    state[0] = 0.9 * state[0] + 0.1 * g
    state[1] = 0.98 * state[1] + 0.02 * g * g
    size = lr * math.sqrt(1 - 0.98**t) / (1 - 0.9**t)
    p -= size * state[0] / (math.sqrt(state[1]) + 1e-3)
    return p - lr * wd * p


def test_updates_are_those_of_the_older_library() -> None:
    parameter = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = LegacyAdamW([parameter], 0.1, (0.9, 0.98), eps=1e-3, weight_decay=0.5)
    expected, state = 2.0, [0.0, 0.0]
    for t, gradient in enumerate((0.3, -1.0, 0.0, 2.0), start=1):
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        expected = literal_step(expected, gradient, state, t, 0.1, 0.5)
        assert parameter.item() == pytest.approx(expected, rel=1e-12)


def test_it_differs_from_torchs_in_where_epsilon_is_added() -> None:
    results = []
    for kind in (LegacyAdamW, torch.optim.AdamW):
        parameter = nn.Parameter(torch.ones(1))
        optimizer = kind([parameter], lr=0.1, betas=(0.9, 0.98), eps=0.1, weight_decay=0.0)
        parameter.grad = torch.ones(1)
        optimizer.step()
        results.append(parameter.item())
    assert abs(results[0] - results[1]) > 1e-3


def test_parameters_without_gradient_stay_and_states_come_back() -> None:
    torch.manual_seed(0)
    used, unused = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(3))
    before = unused.clone()
    optimizer = LegacyAdamW([used, unused], 0.1, weight_decay=0.1)
    for _ in range(2):
        used.grad = torch.randn(3)
        optimizer.step()
    assert torch.equal(unused, before)
    copy = nn.Parameter(used.detach().clone())
    other = LegacyAdamW([copy, unused], 0.1, weight_decay=0.1)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    used.grad = copy.grad = torch.randn(3)
    optimizer.step()
    other.step()
    assert torch.equal(used, copy)


@pytest.mark.parametrize(
    "name, group",
    [
        ("video_model.blocks.0.norm3.weight", 0),  # decays, unlike the other norms
        ("video_model.blocks.0.norm1.weight", 1),
        ("video_model.blocks.7.attn.norm_i2t_i.weight", 4),
        ("text_model.encoder.layer.0.output.LayerNorm.weight", 1),
        ("cls_token", 0),
        ("norm.weight", 1),
        ("mlm_score.bias", 3),
        ("txt_proj.1.weight", 2),
        ("cross_modal_text_transform.bias", 5),
        ("text_model.encoder.layer.8.alpha_t2i", 4),
    ],
)
def test_groups_go_by_published_names(name: str, group: int) -> None:
    assert group_index(name) == group


def test_all_parameters_are_in_one_group_each() -> None:
    model = small_model()
    config = OptimConfig(learning_rate=1e-3, head_lr_factor=2, cross_lr_factor=3, weight_decay=0.1)
    groups = parameter_groups(model, config)
    assert [g["lr"] for g in groups] == pytest.approx([1e-3, 1e-3, 2e-3, 2e-3, 3e-3, 3e-3])
    assert [g["weight_decay"] for g in groups] == [0.1, 0] * 3
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    optimizer = make_optimizer(model, config)
    assert {g["name"] for g in optimizer.param_groups} >= {"base", "head_no_decay", "cross"}


@pytest.mark.parametrize(
    "fraction, updates, expected", [(0.1, 0, 2), (0.0, 0, 0), (0.1, 4, 4), (0.0, 4, 4)]
)
def test_warmup_is_a_fraction_or_a_number(fraction: float, updates: int, expected: int) -> None:
    config = OptimConfig(warmup_fraction=fraction, warmup_updates=updates)
    assert warmup_updates(config, 25) == expected


def test_warmup_may_start_above_zero() -> None:
    factor = schedule(OptimConfig(warmup_updates=4, warmup_start_factor=0.5), 100)
    assert [factor(0), factor(2), factor(4)] == pytest.approx([0.5, 0.75, 1.0])


def test_the_other_schedules() -> None:
    plain = OptimConfig(schedule="constant", warmup_fraction=0)
    assert {schedule(plain, 100)(t) for t in (0, 50, 99)} == {1.0}
    steps = replace(plain, schedule="multistep", milestones=(2, 5), gamma=0.5)
    assert [schedule(steps, 100)(t) for t in (1, 2, 5)] == [1.0, 0.5, 0.25]
    epochs = schedule(replace(steps, milestone_unit="epochs"), 100, per_epoch=10)
    assert [epochs(t) for t in (19, 20, 50)] == [1.0, 0.5, 0.25]


def test_the_other_optimisers() -> None:
    model = small_model()
    kinds = {
        "adamw": (torch.optim.AdamW, OptimConfig(adamw="torch")),
        "sgd": (torch.optim.SGD, OptimConfig(optimizer="sgd", momentum=0.5)),
    }
    for kind, config in kinds.values():
        optimizer = make_optimizer(model, config)
        assert type(optimizer) is kind and len(optimizer.param_groups) == 6
    assert optimizer.param_groups[0]["momentum"] == 0.5


def test_cosine_ends_at_zero_and_linear_at_its_end_rate() -> None:
    cosine = schedule(OptimConfig(), 100)
    linear = schedule(OptimConfig(schedule="polynomial"), 100)
    assert [cosine(0), cosine(10), cosine(55)] == pytest.approx([0, 1, 0.5])
    assert cosine(100) == pytest.approx(0)
    assert linear(55) == pytest.approx((1 + 1e-7 / 3e-5) / 2)
    assert linear(100) == linear(500) == pytest.approx(1e-7 / 3e-5)


def test_the_official_rate_of_each_epochs_first_update() -> None:
    _, _, optim = charades_finetune()
    official = schedule(optim, total=1000, per_epoch=10)
    plain = schedule(replace(optim, epoch_learning_rate="none"), total=1000)
    raised = [t for t in range(1000) if official(t) != plain(t)]
    assert raised == list(range(10, 1000, 10))
    assert official(10) == pytest.approx(2e-4 / 1.5e-5)  # 13 times the intended rate
    assert official(600) == pytest.approx(2e-5 / 1.5e-5)
    assert official(800) == pytest.approx(2e-6 / 1.5e-5)


def test_one_rate_for_all_needs_one_base_rate() -> None:
    _, _, optim = epic_finetune()
    with pytest.raises(EgolibError, match="head_lr_factor"):
        replace(optim, head_lr_factor=4.0)
    with pytest.raises(EgolibError, match="one epoch"):
        schedule(optim, 100)
