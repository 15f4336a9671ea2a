"""The whole network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.errors import EgolibError
from egolib.mq.config import ModelConfig, vsgn_plain
from egolib.mq.models.vsgn import VSGN, build
from tests.mq.small import SMALL


def test_outputs():
    found = build(SMALL, 0)(torch.randn(2, 6, 64))
    boxes = SMALL.boxes
    assert found.logits.shape == (2, boxes, 4)
    assert found.boxes.shape == found.adjusted.shape == (2, boxes, 2)
    assert found.startness.shape == found.endness.shape == found.actionness.shape == (2, 64)
    torch.testing.assert_close(found.scores().sum(-1), torch.ones(2, boxes))


@pytest.mark.parametrize(
    ("config", "values", "tensors"),
    [(ModelConfig(), 10_084_583, 104), (vsgn_plain(), 8_051_687, 94)],
)
def test_published_sizes(config, values, tensors):
    with torch.device("meta"):
        parameters = list(VSGN(config).parameters())
    assert sum(p.numel() for p in parameters) == values
    assert len(parameters) == tensors


def test_modes_compute_the_same():
    model, x = build(SMALL, 0), torch.randn(1, 6, 64)
    with torch.no_grad():
        assert torch.equal(model.train()(x).adjusted, model.eval()(x).adjusted)


def test_seeds_decide_the_weights_and_leave_the_generator_alone():
    state = torch.random.get_rng_state()
    first, second, other = build(SMALL, 1), build(SMALL, 1), build(SMALL, 2)
    assert torch.equal(state, torch.random.get_rng_state())
    name = "detection.box_output.weight"
    assert torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_anchors_are_not_stored():
    assert not [name for name in build(SMALL).state_dict() if "anchor" in name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 62}, "length 62 is no multiple of 4"),
        ({"width": 18}, "width 18 is no multiple of model.norm_groups 4"),
        ({"edge_weights": True, "edge_features": "difference"}, "model.edge_weights"),
        ({"neighbors": 33}, "model.neighbors 33 of the 32"),
    ],
)
def test_sizes_that_do_not_fit(settings, message):
    with pytest.raises(EgolibError, match=message):
        VSGN(replace(SMALL, **settings))


def test_other_features_are_refused():
    model = build(SMALL)
    with pytest.raises(EgolibError, match=r"D = 6 and T = 64"):
        model(torch.randn(1, 7, 64))
    stitched = build(replace(SMALL, stitched_neighbors=True))
    with pytest.raises(EgolibError, match="lengths"):
        stitched(torch.randn(1, 6, 64))
    assert stitched(torch.randn(1, 6, 64), torch.tensor([20])).boxes.isfinite().all()


def test_positions_stay_exact_in_mixed_precision():
    model, x = build(SMALL, 0), torch.randn(1, 6, 64)
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(x)
    assert mixed.boxes.dtype == mixed.adjusted.dtype == mixed.startness.dtype == torch.float32
    torch.testing.assert_close(mixed.boxes, exact.boxes, rtol=0.1, atol=0.5)
