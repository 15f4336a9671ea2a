from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from egolib.vlp.config import SummarizerConfig
from egolib.vlp.summarization.network import (
    Summarizer,
    build_summarizer,
    padding_bias,
    position_codes,
)

CONFIG = SummarizerConfig(width=12, hidden=20, longest=9, dropout=0.0, head_dropout=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_position_codes() -> None:
    official, standard = position_codes(5, 8), position_codes(5, 8, "standard")
    assert official.shape == (1, 5, 8)
    assert official[0, 3, 2] == pytest.approx(math.sin(3 / 10000 ** (4 / 8)))
    assert official[0, 3, 3] == pytest.approx(math.cos(3 / 10000 ** (6 / 8)))
    assert standard[0, 3, 2] == pytest.approx(math.sin(3 / 10000 ** (2 / 8)))
    assert standard[0, 3, 3] == pytest.approx(math.cos(3 / 10000 ** (2 / 8)))
    assert torch.equal(official[..., 0], standard[..., 0])


def test_padding_is_favoured_officially_and_left_out_otherwise() -> None:
    lengths = torch.tensor([2, 0])
    assert padding_bias(lengths, 4)[:, 0, 0].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    masked = padding_bias(lengths, 4, "masked")[:, 0, 0]
    assert masked[0].tolist() == [0, 0, -math.inf, -math.inf] and masked[1].tolist() == [0] * 4


@pytest.mark.parametrize("padding, changes", [("official", True), ("masked", False)])
def test_what_stands_at_padding_matters_officially(padding: str, changes: bool) -> None:
    config = SummarizerConfig(**vars(CONFIG) | {"padding": padding})
    model = build_summarizer(config, generator()).eval()
    x, lengths = torch.randn(3, 9, 12, generator=generator(1)), torch.tensor([4, 9, 0])
    other = x.clone()
    other[0, 4:] += 1
    with torch.no_grad():
        before, after = model(x, lengths), model(other, lengths)
    assert before.isfinite().all()
    assert torch.allclose(before[0, :4], after[0, :4], atol=1e-6) != changes
    assert torch.equal(before[1], after[1])


def test_it_is_the_transformer_of_pytorch() -> None:
    """The same weights in PyTorch's own layers give the same scores.

    With gradients on: its faster path without them takes the mask for a boolean one.
    """
    model = build_summarizer(CONFIG, generator()).eval()
    layer = nn.TransformerEncoderLayer(12, 2, 20, batch_first=True)
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    for ours, other in zip(model.layers, theirs.layers, strict=False):
        other.self_attn.in_proj_weight.data = ours.qkv.weight.data
        other.self_attn.in_proj_bias.data = ours.qkv.bias.data
        other.self_attn.out_proj.load_state_dict(ours.out.state_dict())
        other.linear1.load_state_dict(ours.expand.state_dict())
        other.linear2.load_state_dict(ours.contract.state_dict())
        other.norm1.load_state_dict(ours.attention_norm.state_dict())
        other.norm2.load_state_dict(ours.hidden_norm.state_dict())
    x, lengths = torch.randn(2, 9, 12, generator=generator(1)), torch.tensor([5, 9])
    bias = padding_bias(lengths, 9)[:, 0, 0]
    hidden = theirs(x + model.positions, src_key_padding_mask=bias)
    expected = model.score(model.project(hidden).relu())[..., 0]
    torch.testing.assert_close(model(x, lengths), expected, atol=1e-5, rtol=1e-5)


def test_scores_of_shots_skip_empty_segments() -> None:
    model = build_summarizer(CONFIG, generator()).eval()
    x, lengths = torch.randn(4, 9, 12, generator=generator(2)), torch.tensor([3, 0, 9, 1])
    with torch.no_grad():
        whole, shots = model(x, lengths), model.score_shots(x, lengths)
    expected = torch.cat([whole[0, :3], whole[2], whole[3, :1]])
    torch.testing.assert_close(shots, expected)


@pytest.mark.parametrize("layer_init, equal", [("official", True), ("independent", False)])
def test_start(layer_init: str, equal: bool) -> None:
    config = SummarizerConfig(**vars(CONFIG) | {"layer_init": layer_init})
    model, again = (build_summarizer(config, generator(3)) for _ in range(2))
    for a, b in zip(model.parameters(), again.parameters(), strict=False):
        assert torch.equal(a, b)
    first, second = (layer.state_dict() for layer in model.layers)
    assert all(torch.equal(first[k], second[k]) for k in first) == equal
    assert model.score.bias.item() == pytest.approx(-1.91)
    assert not model.layers[0].qkv.bias.any() and not model.layers[0].out.bias.any()
    assert model.layers[0].qkv.weight.abs().max() <= math.sqrt(6 / 48)


def test_the_default_generator_is_left_alone_where_one_is_given() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    build_summarizer(CONFIG, generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_template_gets_no_gradient() -> None:
    model = Summarizer(CONFIG)
    model(torch.randn(1, 9, 12), torch.tensor([5])).sum().backward()
    assert all(p.grad is None for p in model.template.parameters())
    assert all(p.grad is not None for p in model.layers.parameters())
