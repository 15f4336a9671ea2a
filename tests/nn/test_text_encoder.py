from __future__ import annotations

import pytest
import torch
from torch import nn

from egolib.nn.text_encoder import Attention, TextEmbeddings, TextEncoder, attention_bias


def encoder(**changes: object) -> TextEncoder:
    torch.manual_seed(0)
    settings = {
        "vocabulary_size": 11,
        "width": 12,
        "positions": 9,
        "pad_id": 1,
        "heads": 3,
        "mlp_width": 20,
        "depth": 3,
        "fusion_depth": 1,
        "context_width": 8,
    }
    return TextEncoder(**settings | changes).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "ids, expected",
    [
        ([[1, 1]], [[1, 1]]),
        ([[0, 5, 2]], [[2, 3, 4]]),
        ([[0, 5, 2, 1, 1]], [[2, 3, 4, 1, 1]]),
        ([[1, 0, 1, 5]], [[1, 2, 1, 3]]),  # padding inside is not counted
    ],
)
def test_positions_count_tokens(ids: list, expected: list) -> None:
    embeddings = TextEmbeddings(11, 12, 9, pad_id=1)
    assert embeddings.position_ids(torch.tensor(ids)).tolist() == expected


def test_padding_gets_no_gradient() -> None:
    embeddings = TextEmbeddings(11, 12, 9, pad_id=1)
    embeddings(torch.tensor([[0, 5, 2, 1]])).pow(2).sum().backward()
    for table in (embeddings.words, embeddings.positions):
        assert table.weight.grad is not None
        assert not table.weight.grad[1].any()
    assert embeddings.words.weight.grad[5].any()


def test_padding_length_does_not_change_the_tokens() -> None:
    model = encoder()
    short = torch.tensor([[0, 4, 7, 2]])
    long = torch.tensor([[0, 4, 7, 2, 1, 1, 1]])
    torch.testing.assert_close(
        model(long, (long != 1).long())[:, :4], model(short, torch.ones_like(short))
    )


def test_attention_is_that_of_torch() -> None:
    torch.manual_seed(1)
    ours = Attention(12, 3, 12)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    parts = [ours.query, ours.key, ours.value]
    theirs.in_proj_weight.data = torch.cat([p.weight for p in parts]).detach()
    theirs.in_proj_bias.data = torch.cat([p.bias for p in parts]).detach()
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    x, context = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    expected, _ = theirs(x, context, context, key_padding_mask=mask == 0)
    torch.testing.assert_close(ours(x, context, attention_bias(mask)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_row_without_tokens_is_finite(dtype: torch.dtype) -> None:
    model = encoder()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        out = model(torch.tensor([[1, 1]]), torch.zeros(1, 2, dtype=torch.long))
    assert out.isfinite().all()


def test_only_the_last_layers_fuse_and_a_closed_gate_changes_nothing() -> None:
    model = encoder()
    assert [layer.cross is not None for layer in model.layers] == [False, False, True]
    x, context, bias = torch.randn(1, 4, 12), torch.randn(1, 6, 8), torch.zeros(1, 1, 1, 4)
    layer = model.layers[2]
    torch.testing.assert_close(layer(x, bias, context), layer(x, bias))
    layer.cross_gate.data.fill_(1.0)
    assert (layer(x, bias, context) - layer(x, bias)).abs().max() > 1e-3


def test_parts_of_the_encoder_join() -> None:
    model = encoder()
    ids = torch.tensor([[0, 4, 7, 2]])
    mask = torch.ones_like(ids)
    prefix = model(ids, mask, 0, 2)
    torch.testing.assert_close(model.run(prefix, attention_bias(mask), 2), model(ids, mask))


def test_checkpointing_gives_the_same_gradients() -> None:
    ids = torch.tensor([[0, 4, 7, 2]])
    found = []
    for recompute in (False, True):
        model = encoder(gradient_checkpointing=recompute).train()
        model(ids, torch.ones_like(ids)).pow(2).sum().backward()
        found.append({k: p.grad for k, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, grad in found[0].items():
        torch.testing.assert_close(grad, found[1][name])
