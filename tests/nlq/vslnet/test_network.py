"""The network: masks, padding, what the question reaches, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.config.span import VslnetConfig, vslnet, vslnet_small
from egolib.nlq.models.vslnet.network import Vslnet
from tests.nlq.vslnet.small import FULL, SMALL, batch, network, run

CONFIGS = [FULL, SMALL, replace(SMALL, small_predictor="highlighted")]


@pytest.mark.parametrize(("build", "parameters"), [(vslnet, 702595), (vslnet_small, 636547)])
def test_published_sizes(build, parameters):
    assert sum(p.numel() for p in Vslnet(build()).parameters()) == parameters


@pytest.mark.parametrize("config", CONFIGS)
def test_outputs_in_the_padding(config):
    inputs = batch(config)
    spans = run(network(config), inputs)
    outside = ~inputs.video_mask
    assert outside.any()
    for logits in (spans.start, spans.end):
        assert (logits[outside] < -1e29).all() and logits[~outside].abs().max() < 1e3
    assert (spans.highlight_scores[outside] == 0).all()
    assert (spans.highlight_scores[~outside] > 0).all()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_parameter_gets_a_gradient(config):
    """Only for the small network's blind predictor the highlight needs its own loss."""
    model, inputs = network(config), batch(config)
    spans = model(inputs.video, inputs.video_mask, inputs.tokens, inputs.token_mask)
    inside = inputs.video_mask
    total = sum(x[inside].square().sum() for x in (spans.start, spans.end, spans.highlight))
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def alone(config, inputs, row):
    """Outputs of one question, computed without padding of its clip and its tokens."""
    length, words = int(inputs.video_mask[row].sum()), int(inputs.token_mask[row].sum())
    part = slice(row, row + 1)
    with torch.inference_mode():
        spans = network(config)(
            inputs.video[part, :length],
            inputs.video_mask[part, :length],
            inputs.tokens[part, :words],
            inputs.token_mask[part, :words],
        )
    return spans, length


@pytest.mark.parametrize("config", CONFIGS)
def test_padding_reaches_the_outputs_only_officially(config):
    for padding in ("official", "per_clip"):
        config = replace(config, padding=padding)
        inputs = batch(config)
        spans, row = run(network(config), inputs), len(inputs) - 1
        single, length = alone(config, inputs, row)
        differences = [
            (getattr(spans, name)[row, :length] - getattr(single, name)[0]).abs().max()
            for name in ("start", "end", "highlight")
        ]
        assert (max(differences) < 1e-4) == (padding == "per_clip")


def changed_question(config):
    """How much another question changes starts, ends and highlights."""
    inputs = batch(config)
    before = run(network(config), inputs)
    inputs.tokens = inputs.tokens.roll(1, 0)
    after = run(network(config), inputs)
    return [
        (getattr(before, name) - getattr(after, name)).abs().max().item()
        for name in ("start", "end", "highlight")
    ]


def test_the_small_network_does_not_hear_the_question():
    """Officially its spans are blind, its highlights are not; a named option mends that."""
    assert min(changed_question(FULL)) > 1e-3
    start, end, highlight = changed_question(SMALL)
    assert start == end == 0 and highlight > 1e-3
    assert min(changed_question(replace(SMALL, small_predictor="highlighted"))) > 1e-3


def test_the_full_network_has_no_such_option():
    inputs = batch()
    for choice in ("official", "highlighted"):
        spans = run(network(replace(FULL, small_predictor=choice)), inputs)
        assert torch.equal(spans.start, run(network(), inputs).start)


def test_the_video_reaches_the_question_free_spans():
    inputs = batch(SMALL)
    before = run(network(SMALL), inputs).start
    inputs.video = inputs.video * 2
    assert not torch.allclose(before, run(network(SMALL), inputs).start)


def test_dropout_acts_in_training_alone():
    config = replace(FULL, dropout=0.5)
    model, inputs = network(config), batch(config)
    assert torch.equal(run(model, inputs).start, run(model, inputs).start)
    model.train()
    assert not torch.equal(run(model, inputs).start, run(model, inputs).start)


def test_a_mask_without_any_token_does_not_end_in_nan():
    inputs = batch()
    inputs.token_mask[:] = False
    assert run(network(), inputs).start.isfinite().all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda b: setattr(b, "video", b.video[..., 1:]), "video features are 11 wide"),
        (lambda b: setattr(b, "tokens", b.tokens[..., 1:]), "token states are 5 wide"),
    ],
)
def test_another_width(change, match):
    inputs = batch()
    change(inputs)
    with pytest.raises(EgolibError, match=match):
        run(network(), inputs)


def test_a_clip_that_is_too_long():
    inputs = batch()
    inputs.video, inputs.video_mask = torch.zeros(6, 33, 12), torch.ones(6, 33, dtype=torch.bool)
    with pytest.raises(EgolibError, match="33 positions for a table of 32"):
        run(network(), inputs)


@pytest.mark.parametrize(
    ("options", "match"), [({"width": 15}, "multiple"), ({"kernel": 4}, "odd width")]
)
def test_impossible_networks(options, match):
    with pytest.raises(EgolibError, match=match):
        Vslnet(replace(FULL, **options))


def test_initial_weights():
    """Xavier bounds by the official shapes, zero biases, positions of unit variance."""
    torch.manual_seed(0)
    model = Vslnet(VslnetConfig())
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith("bias"):
            assert not value.any()
    bounds = {
        "text_embedding.weight": (6 / (768 + 128)) ** 0.5,
        "encoder.convs.0.depthwise.weight": (6 / (7 + 128 * 7)) ** 0.5,
        "attention.video_weight": (6 / 129) ** 0.5,
        "attention.product_weight": (6 / 256) ** 0.5,
        "concatenation.pooling_weight": (6 / 129) ** 0.5,
    }
    for name, bound in bounds.items():
        assert 0.9 * bound < state[name].abs().max() <= bound, name
    assert 0.97 < state["encoder.positions.table"].std() < 1.03
