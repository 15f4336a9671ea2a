"""The parts of the network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from egolib.nlq.config import ModelConfig
from egolib.nn.temporal_blocks import (
    Block,
    ConvStack,
    MaskedConv,
    StochasticDepth,
    Tokens,
    max_pool,
)

CONFIG = ModelConfig(width=8, heads=2, drop_path=0.1)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_max_pool_equals_torch(length):
    x = torch.randn(2, length, 3)
    expected = F.max_pool1d(x.transpose(1, 2), 3, 2, 1).transpose(1, 2)
    torch.testing.assert_close(max_pool(x), expected)


def test_masked_conv_reads_beyond_the_end_but_writes_zeros():
    conv = MaskedConv(1, 1, 3)
    torch.nn.init.ones_(conv.weight)
    mask = torch.tensor([[[True], [True], [False]]])
    found = conv(torch.tensor([[[1.0], [2.0], [4.0]]]), mask)
    assert found.flatten().tolist() == [3, 7, 0]


def test_padding_after_an_embedding_holds_the_norms_bias():
    stack = ConvStack(4, 8, 3, 2, norm=True)
    torch.nn.init.constant_(stack.norms[-1].bias, 0.5)
    mask = torch.tensor([[[True], [False]]])
    assert (stack(torch.randn(1, 2, 4), mask)[:, 1] == 0.5).all()


def test_stochastic_depth_drops_whole_samples():
    torch.manual_seed(0)
    depth = StochasticDepth(2, 0.25)
    torch.nn.init.ones_(depth.gain)
    x = torch.ones(4000, 3, 2)
    found = depth(x)
    kept = found[:, 0, 0] > 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    torch.testing.assert_close(found[kept], x[kept] / 0.75)
    assert (found[~kept] == 0).all()
    torch.testing.assert_close(depth.eval()(x), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_block_halves_the_length_by_option(stride):
    block = Block(CONFIG, streams=("query",), stride=stride, window=5).eval()
    x, mask = torch.randn(2, 12, 8), torch.ones(2, 12, 1, dtype=torch.bool)
    tokens = Tokens(torch.randn(2, 4, 8), torch.ones(2, 4, 1, dtype=torch.bool))
    found, found_mask = block(x, mask, {"query": tokens})
    assert found.shape == (2, 12 // stride, 8) and found_mask.shape == (2, 12 // stride, 1)


def test_no_gains_without_stochastic_depth():
    block = Block(ModelConfig(width=8, heads=2, drop_path=0.0))
    assert not [name for name, _ in block.named_parameters() if "gain" in name]
