"""Single terms: values by hand, and no NaN."""

from __future__ import annotations

import math

import pytest
import torch

from egolib.mq.losses.terms import classification_loss, coded, curve_loss, giou_loss, mean_of


def test_positives_and_negatives_are_averaged_apart():
    logits = torch.zeros(4, 3)
    logits[0, 1] = 5.0
    loss = classification_loss(logits, torch.tensor([1, 0, 0, 0]))
    positive = torch.nn.functional.cross_entropy(logits[:1], torch.tensor([1]))
    assert loss.item() == pytest.approx(positive.item() + math.log(3))


@pytest.mark.parametrize("classes", [[0, 0], [1, 2]])
def test_an_empty_side_counts_zero(classes):
    logits, classes = torch.zeros(2, 3, requires_grad=True), torch.tensor(classes)
    loss = classification_loss(logits, classes)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3))
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert classification_loss(logits, classes, "official").isnan()


def test_mean_of():
    values = torch.tensor([1.0, 2, 9])
    assert mean_of(values, torch.tensor([True, True, False])).item() == 1.5
    assert mean_of(values, torch.zeros(3, dtype=torch.bool)).item() == 0
    assert mean_of(values, torch.zeros(3, dtype=torch.bool), "official").isnan()


@pytest.mark.parametrize(
    ("box", "truth", "expected"),
    [
        ((0, 10), (0, 10), 0),
        ((10, 0), (0, 10), 0),  # swapped ends
        ((0, 5), (0, 10), 0.5),
        ((0, 2), (8, 10), 1 + 6 / 10),
    ],
)
def test_giou(box, truth, expected):
    pair = (torch.tensor([x], dtype=torch.float64) for x in (box, truth))
    assert giou_loss(*pair).item() == pytest.approx(expected, abs=1e-6)


def test_long_truths_pass_through_the_coder():
    box, truth = torch.tensor([[10.0, 10.0]]), torch.tensor([[0.0, 200.0]])
    short = coded(truth, box)
    assert (short[0, 1] - short[0, 0] + 1).item() == pytest.approx(62.5, rel=1e-4)
    assert torch.equal(coded(truth, box, "truth"), truth)


def test_curve_weighs_both_sides_alike():
    curve = torch.full((1, 8), 0.5)
    target = torch.zeros(1, 8)
    target[0, :2] = 3  # a class index is positive
    assert curve_loss(curve, target).item() == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_a_curve_of_one_kind_counts_half(fill):
    curve = torch.full((1, 8), 0.5, requires_grad=True)
    loss = curve_loss(curve, torch.full((1, 8), fill))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 2, rel=1e-4)
    assert curve.grad is not None and curve.grad.isfinite().all()
    assert not curve_loss(curve, torch.full((1, 8), fill), "official").isfinite()
