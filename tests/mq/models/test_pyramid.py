"""Levels of the pyramid."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.mq.models.pyramid import GraphLevel, PlainLevel, Pyramid
from tests.mq.small import SMALL


@pytest.mark.parametrize("graph", [True, False])
def test_levels_are_returned_fine_to_coarse(graph):
    pyramid = Pyramid(replace(SMALL, graph=graph))
    levels = pyramid(torch.randn(2, 6, 64))
    assert [x.shape for x in levels] == [(2, 16, 64), (2, 16, 32), (2, 16, 16)]
    assert all((x >= 0).all() for x in levels)


@pytest.mark.parametrize("kind", [GraphLevel, PlainLevel])
def test_the_finest_level_keeps_the_length(kind):
    x = torch.randn(1, 16, 64)
    assert kind(SMALL, 0)(x).shape == (1, 16, 64)
    assert kind(SMALL, 1)(x).shape == (1, 16, 32)


def test_the_graph_may_follow_the_convolution():
    torch.manual_seed(0)
    parallel = GraphLevel(SMALL, 0)
    sequential = GraphLevel(replace(SMALL, graph_input="sequential"), 0)
    sequential.load_state_dict(parallel.state_dict())
    x = torch.randn(1, 16, 64)
    expected = parallel.graph(parallel.conv(x)).relu()
    torch.testing.assert_close(sequential(x), expected)
    assert not torch.allclose(parallel(x), expected)


def test_padding_is_seen():
    """No mask: what stands behind a clip changes what is said about it."""
    pyramid = Pyramid(SMALL)
    x = torch.randn(1, 6, 64)
    x[..., 40:] = 0
    other = x.clone()
    other[..., 60:] = 1
    assert not torch.equal(pyramid(x)[0][..., :30], pyramid(other)[0][..., :30])
