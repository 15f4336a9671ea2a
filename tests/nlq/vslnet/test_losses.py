"""The three parts of the loss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from egolib.nlq.config.span import SpanLossConfig
from egolib.nlq.models.vslnet.losses import SpanLoss, highlight_loss, location_loss
from egolib.nlq.models.vslnet.masks import blocked
from egolib.nlq.models.vslnet.network import Spans
from tests.nlq.vslnet.small import FULL, batch, network

LABELS = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]])
MASK = torch.tensor([[True] * 4, [True, True, False, False]])


def spans(value=0.0):
    logits = blocked(torch.full((2, 4), value), MASK).requires_grad_()
    return Spans(logits, logits, logits, MASK)


def test_locations_of_ignorant_outputs():
    """Uniform over the valid cells: log 4 and log 2 for each of start and end."""
    value = location_loss(spans(), torch.tensor([1, 0]), torch.tensor([2, 1]))
    assert value.item() == pytest.approx(math.log(4) + math.log(2))


def test_highlights_of_ignorant_outputs():
    """Every cell costs log 2, highlighted ones twice that; 3 of 6 valid cells are."""
    value = highlight_loss(spans(), LABELS, SpanLossConfig())
    assert value.item() == pytest.approx(math.log(2) * 9 / 6)
    once = highlight_loss(spans(), LABELS, SpanLossConfig(foreground_weight=1.0))
    assert once.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("form", ["official", "logits"])
def test_the_padding_costs_nothing(form):
    config = SpanLossConfig(highlight_loss=form)
    other = LABELS.clone()
    other[1, 2:] = 1
    assert highlight_loss(spans(), LABELS, config) == highlight_loss(spans(), other, config)


def test_both_forms_agree_but_for_certain_cells():
    official, logits = (SpanLossConfig(highlight_loss=x) for x in ("official", "logits"))
    assert highlight_loss(spans(3.0), LABELS, official).item() == pytest.approx(
        highlight_loss(spans(3.0), LABELS, logits).item(), rel=1e-5
    )
    sure = spans(20.0)  # 1 in float32: the three cells that are not highlighted cost 100
    assert highlight_loss(sure, LABELS, official).item() == pytest.approx(50, abs=1e-4)
    assert highlight_loss(sure, LABELS, logits).item() == pytest.approx(10, abs=1e-4)


def test_a_certain_cell_learns_from_logits_alone():
    for form, learns in (("official", False), ("logits", True)):
        sure = spans(20.0)
        highlight_loss(sure, LABELS, SpanLossConfig(highlight_loss=form)).backward()
        assert bool(sure.highlight.grad[MASK & (LABELS == 0)].any()) == learns


def test_the_total():
    model, inputs = network(), batch()
    values = SpanLoss()(model, inputs)
    expected = values["location"] + 5 * values["highlight"]
    torch.testing.assert_close(values["loss"], expected)
    other = SpanLoss(SpanLossConfig(highlight_weight=0))(model, inputs)
    torch.testing.assert_close(other["loss"], values["location"])


def test_it_runs_in_reduced_precision():
    model, inputs = network(replace(FULL, dropout=0.1)).train(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        values = SpanLoss()(model, inputs)
    values["loss"].backward()
    assert values["loss"].isfinite()


def test_a_batch_without_targets():
    inputs = batch()
    inputs.targets = None
    with pytest.raises(ValueError, match="without targets"):
        SpanLoss()(network(), inputs)
