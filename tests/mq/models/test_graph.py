"""The graph branch: neighbours and their reduction, equal to the plain order of work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.mq.models.graph import GraphBranch, find_neighbors, find_stitched_neighbors
from tests.mq.small import SMALL
from tests.oracles import vsgn as plain


def nodes(seed=0, positions=32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, positions, SMALL.width, generator=generator)


def test_every_position_is_its_own_nearest():
    neighbors = find_neighbors(nodes(), 4)
    assert neighbors.shape == (3, 32, 4)
    assert torch.equal(neighbors[..., 0], torch.arange(32).expand(3, -1))


def test_neighbors_by_all_differences():
    assert torch.equal(find_neighbors(nodes(), 5), plain.find_neighbors(nodes(), 5))


def test_short_clips_look_at_the_other_scale():
    model = replace(SMALL, stitch_gap=4, stitched_neighbors=True)
    lengths = torch.tensor([60, 20, 25])
    found = find_stitched_neighbors(nodes(), 5, lengths, model)
    assert torch.equal(found[0], find_neighbors(nodes(), 5)[0])
    expected = plain.find_stitched_neighbors(nodes(), 5, lengths, model)
    assert torch.equal(found.sort(-1).values, expected.sort(-1).values)
    first_copied = (20 + 4) // 2
    assert (found[1, first_copied:, 2:] < first_copied).all()
    assert not torch.equal(found[1], find_neighbors(nodes(), 5)[1])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"aggregation": "mean"},
        {"edge_features": "difference"},
        {"edge_weights": True},
    ],
    ids=str,
)
def test_split_map_equals_the_map_of_every_pair(settings):
    torch.manual_seed(0)
    branch = GraphBranch(replace(SMALL, **settings))
    x = nodes().requires_grad_()
    neighbors = find_neighbors(nodes(), 5)
    gradients = []
    for reduce in (branch.aggregate, lambda x, n: plain.aggregate(branch, x, n)):
        output = reduce(x, neighbors)
        gradients.append(
            (output, *torch.autograd.grad(output.square().sum(), [x, *branch.parameters()]))
        )
    for found, expected in zip(*gradients, strict=False):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_edge_weights_of_zero_features_are_nan():
    branch = GraphBranch(replace(SMALL, edge_weights=True))
    x = nodes()
    x[0, 3] = 0
    assert branch(x.transpose(1, 2)).isnan().any()
