"""Attention: banded equals global with a band mask, whatever the length."""

from __future__ import annotations

import pytest
import torch

from egolib.nn.temporal_attention import (
    CrossAttention,
    DepthwiseConv,
    SelfAttention,
    banded_attention,
    global_attention,
)

HEADS, CHANNELS = 2, 8


def dense(query, key, value, mask, window, bias):
    """Softmax over an explicit (T, T) band."""
    length = query.shape[1]
    distance = torch.arange(length) - torch.arange(length)[:, None]  # key - query
    q, k, v = (x.unflatten(2, (HEADS, -1)).transpose(1, 2) for x in (query, key, value))
    logits = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    if bias is not None:
        logits = logits + bias[:, (distance + window // 2).clamp(0, window - 1)]
    allowed = (distance.abs() <= window // 2) & mask.transpose(1, 2).unsqueeze(1)
    weights = logits.masked_fill(~allowed, float("-inf")).softmax(-1).nan_to_num()
    return (weights @ v).transpose(1, 2).flatten(2) * mask


@pytest.mark.parametrize("length", [1, 4, 7, 8, 9, 33, 64])
@pytest.mark.parametrize("window", [3, 5, 9, 19])
@pytest.mark.parametrize("biased", [False, True])
def test_banded_attention(length, window, biased):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, length, CHANNELS)
    mask = torch.ones(2, length, 1, dtype=torch.bool)
    mask[1, length // 2 + 1 :] = False
    bias = torch.randn(HEADS, window) if biased else None
    found = banded_attention(query, key, value, mask, HEADS, window, bias)
    expected = dense(query, key, value, mask, window, bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_gradients_stay_finite_where_nothing_is_valid():
    query, key, value = torch.randn(3, 1, 20, CHANNELS).unbind(0)
    mask = torch.zeros(1, 20, 1, dtype=torch.bool)
    query.requires_grad_()
    banded_attention(query, key, value, mask, HEADS, 9).sum().backward()
    assert query.grad is not None and query.grad.isfinite().all()


def test_global_attention_ignores_invalid_keys():
    torch.manual_seed(0)
    query, tokens = torch.randn(1, 5, CHANNELS), torch.randn(1, 4, CHANNELS)
    mask = torch.tensor([[[True], [True], [False], [False]]])
    found = global_attention(query, tokens, tokens, mask, HEADS)
    short = global_attention(query, tokens[:, :2], tokens[:, :2], mask[:, :2], HEADS)
    torch.testing.assert_close(found, short)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("length", [6, 7])
def test_depthwise_conv_equals_torch(stride, length):
    conv, x = DepthwiseConv(CHANNELS, stride), torch.randn(2, length, CHANNELS)
    mask = torch.ones(2, -(-length // stride), 1, dtype=torch.bool)
    expected = torch.nn.functional.conv1d(
        x.transpose(1, 2), conv.weight, stride=stride, padding=1, groups=CHANNELS
    )
    torch.testing.assert_close(conv(x, mask), expected.transpose(1, 2))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [-1, 5])
def test_self_attention_is_zero_in_the_padding(stride, window):
    layer = SelfAttention(CHANNELS, HEADS, stride=stride, window=window, relative_bias=True)
    mask = torch.zeros(1, 12 // stride, 1, dtype=torch.bool)
    mask[:, :3] = True
    found = layer(torch.randn(1, 12, CHANNELS), mask)
    assert found.shape == (1, 12 // stride, CHANNELS)
    assert (found[:, 3:] == 0).all() and (found[:, :3] != 0).any()


def test_cross_attention_without_tokens_is_zero():
    layer = CrossAttention(CHANNELS, HEADS)
    torch.nn.init.ones_(layer.output.bias)
    mask = torch.ones(2, 6, 1, dtype=torch.bool)
    token_mask = torch.tensor([[[True]], [[False]]])
    found = layer(torch.randn(2, 6, CHANNELS), mask, torch.randn(2, 1, CHANNELS), token_mask)
    assert (found[1] == 0).all() and (found[0] != 0).any()
