"""Losses and their normaliser."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.nlq.config import LossConfig
from egolib.nn.point_losses import PointLoss, focal_loss, overlap_loss
from egolib.nn.points import Predictions, Targets


def case(positives=2, batch=2, points=10):
    torch.manual_seed(0)
    classes = torch.zeros(batch, points, 1)
    classes[:, :positives] = 1
    mask = torch.ones(batch, points, dtype=torch.bool)
    logits = torch.randn(batch, points, 1, requires_grad=True)
    offsets = torch.rand(batch, points, 2, requires_grad=True)
    predictions = Predictions(logits, offsets, mask, (points,))
    return predictions, Targets(classes, torch.rand(batch, points, 2))


def test_focal_loss_of_certain_answers():
    logits = torch.tensor([20.0, -20.0, 20.0, -20.0])
    targets = torch.tensor([1.0, 0.0, 0.0, 1.0])
    found = focal_loss(logits, targets)
    torch.testing.assert_close(found, torch.tensor([0, 0, 0.75 * 20, 0.25 * 20]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("found", "truth", "diou", "giou"),
    [
        ((1, 1), (1, 1), 0, 0),
        ((0, 0), (1, 1), 1, 1),
        ((2, 0), (1, 1), 2 / 3 + (1 / 3) ** 2, 2 / 3),
        ((0, 0), (0, 0), 1, 1),
    ],
)
def test_overlap_loss(found, truth, diou, giou):
    found, truth = (torch.tensor([x], dtype=torch.float32) for x in (found, truth))
    assert overlap_loss(found, truth).item() == pytest.approx(diou)
    assert overlap_loss(found, truth, "giou").item() == pytest.approx(giou)


def test_the_normaliser_follows_the_positives():
    loss = PointLoss(LossConfig())
    loss(*case())
    assert loss.normalizer == pytest.approx(0.9 * 200 + 0.1 * 4)
    loss(*case(positives=0))
    assert loss.normalizer == pytest.approx(0.9 * 180.4 + 0.1)


def test_a_saved_normaliser_continues_where_it_stopped():
    """The official checkpoints lack it, so that a resumed training starts at 200 again."""
    running, resumed, fresh = (PointLoss(LossConfig()) for _ in range(3))
    for _ in range(5):
        running(*case())
    resumed.load_state_dict(running.state_dict())
    totals = [float(loss(*case())["loss"].detach()) for loss in (running, resumed, fresh)]
    assert totals[0] == totals[1] != totals[2]


def test_a_validation_loss_may_leave_it_alone():
    loss = PointLoss(LossConfig())
    values = loss(*case(), update=False)
    assert loss.normalizer == 200
    assert values["loss"] == PointLoss(LossConfig())(*case())["loss"]


def test_points_in_the_padding_do_not_count():
    predictions, targets = case()
    whole = PointLoss(LossConfig())(predictions, targets)
    predictions.mask[:, 0] = False
    part = PointLoss(LossConfig())
    assert part(predictions, targets)["loss"] < whole["loss"]
    assert part.normalizer == pytest.approx(180.2)


def test_without_positives_the_graph_stays_whole():
    predictions, targets = case(positives=0)
    values = PointLoss(LossConfig())(predictions, targets)
    values["loss"].backward()
    assert values["regression"] == 0
    assert predictions.offsets.grad is not None


def test_balanced_weight():
    config = LossConfig(regression_weight=-1, initial_normalizer=1)
    values = {name: value.item() for name, value in PointLoss(config)(*case()).items()}
    assert values["regression"] > 0.01
    assert values["loss"] == pytest.approx(2 * values["classification"], rel=1e-5)
    small = replace(config, initial_normalizer=1e4)  # the regression loss falls below 0.01
    values = {name: value.item() for name, value in PointLoss(small)(*case()).items()}
    expected = values["classification"] * (1 + values["regression"] / 0.01)
    assert values["loss"] == pytest.approx(expected, rel=1e-5)


def test_two_processes_that_count_as_one():
    """With a shared count, averaged gradients equal those of one process with all samples."""
    predictions, targets = case(batch=2)
    together = PointLoss(LossConfig())(predictions, targets)["loss"]
    halves = []
    for row in (0, 1):
        part = Predictions(
            predictions.logits[row : row + 1],
            predictions.offsets[row : row + 1],
            predictions.mask[row : row + 1],
            predictions.lengths,
        )
        share = Targets(targets.classes[row : row + 1], targets.offsets[row : row + 1])
        loss = PointLoss(LossConfig(), sum_over_processes=lambda n: 2 * n, processes=2)
        halves.append(loss(part, share)["loss"])
    assert (sum(halves) / 2).item() == pytest.approx(together.item(), rel=1e-6)
