"""Selections of fixed size equal those that go box by box."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.nn import fixed
from egolib.nn.config import AnchorConfig, BoxConfig, DetectionConfig, ProposalConfig, RpnConfig
from egolib.nn.roi import select_detections
from egolib.nn.rpn import RegionProposals
from egolib.ops import boxes as bx
from egolib.ops.suppression import survivors

SIZE = (80, 120)


def clustered(lists: int, count: int, seed: int = 0) -> torch.Tensor:
    """Boxes (lists, count, 4) around few centres, so that many overlap."""
    generator = torch.Generator().manual_seed(seed)
    centre = 20 + 60 * torch.rand(lists, count // 8 + 1, 2, generator=generator).repeat(1, 8, 1)
    centre = centre[:, :count] + 3 * torch.randn(lists, count, 2, generator=generator)
    half = 8 + 4 * torch.rand(lists, count, 2, generator=generator)
    return torch.cat([centre - half, centre + half], dim=2)


@pytest.mark.parametrize("extent", [0.0, 1.0])
@pytest.mark.parametrize("grouped", [False, True])
def test_survivors_are_those_of_greedy_suppression(extent: float, grouped: bool):
    boxes = clustered(3, 300)
    scores = torch.linspace(1, 0, 300)
    groups = torch.randint(4, (3, 300), generator=torch.Generator().manual_seed(1))
    valid = torch.rand(3, 300, generator=torch.Generator().manual_seed(2)) > 0.2
    stay, settled = survivors(
        boxes, valid, 0.5, groups=groups if grouped else None, extent=extent, block=64
    )
    assert settled.all() and 10 < stay.sum() < 0.7 * valid.sum()
    for i in range(3):
        own = valid[i].nonzero()[:, 0]
        of = groups[i, own] if grouped else torch.zeros(len(own), dtype=torch.int64)
        kept = bx.nms_by_group(boxes[i, own], scores[own], of, 0.5, extent)
        assert stay[i].nonzero()[:, 0].tolist() == own[kept].tolist()


def test_a_chain_that_is_longer_than_the_rounds_is_not_settled():
    start = torch.arange(40.0)[None]
    chain = torch.stack([start, 0 * start, start + 3, 0 * start + 10], dim=2)  # each meets the next
    valid = torch.ones(1, 40, dtype=torch.bool)
    stay, settled = survivors(chain, valid, 0.45, rounds=8)
    assert not settled.any()
    stay, settled = survivors(chain, valid, 0.45, rounds=48)
    assert settled.all() and stay[0].tolist() == [i % 2 == 0 for i in range(40)]


def region_proposals(levels: int, extent: float) -> RegionProposals:
    torch.manual_seed(0)
    anchors = AnchorConfig(
        tuple(8 * 2**i for i in range(levels)), tuple((16.0 * 2**i,) for i in range(levels))
    )
    rpn = RegionProposals(8, RpnConfig(anchors=anchors, boxes=BoxConfig(extent=extent)))
    for parameter in rpn.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return rpn


@pytest.mark.parametrize("levels, extent", [(1, 0.0), (1, 1.0), (3, 0.0)])
@pytest.mark.parametrize("rank_by", ["probability", "logit"])
@torch.no_grad()
def test_proposals_of_a_batch_are_those_of_every_image(levels: int, extent: float, rank_by: str):
    rpn = region_proposals(levels, extent)
    maps = [torch.randn(3, 8, 10 // 2**i + 1, 15 // 2**i + 1) for i in range(levels)]
    output = rpn(maps)
    limits = ProposalConfig(150, 20, 0.6, rank_by, drop_empty=extent == 0)  # type: ignore
    corner = torch.tensor(fixed.corner_of(SIZE, extent))
    found = fixed.propose(rpn, output, corner, limits)
    assert found.complete.all()
    for i, expected in enumerate(rpn.propose(output, [SIZE] * 3, limits)):
        assert torch.equal(found.boxes[i], expected.boxes)
        assert torch.equal(found.scores[i], expected.scores)
    few = fixed.propose(rpn, output, corner, replace(limits, after=400))
    assert not few.complete.any()  # so many are not there


@pytest.mark.parametrize("ties", ["cut", "keep"])
@pytest.mark.parametrize(
    "rescale, drop_empty, shared", [("before", False, False), ("after", True, True)]
)
def test_detections_of_a_batch_are_those_of_every_image(ties, rescale, drop_empty, shared):
    torch.manual_seed(0)
    batch, count, classes = 3, 40, 4
    scores = (8 * torch.randn(batch, count, classes + 1)).softmax(2)[..., :classes]
    scores = (scores * 50).round() / 50  # with ties
    offsets = torch.randn(batch, count, 1 if shared else classes, 4)
    regions, scales = clustered(batch, count), 1 + torch.rand(batch, 4)
    coder = bx.BoxCoder(BoxConfig(extent=1.0 if shared else 0.0, weights=(10, 10, 5, 5)))
    corner = torch.tensor(fixed.corner_of(SIZE, coder.config.extent))
    for limit in (12, 200):
        config = DetectionConfig(0.02, 0.5, limit, ties, rescale, drop_empty)
        found = fixed.select(scores, offsets, regions, corner, scales, coder=coder, config=config)
        for i in range(batch):
            expected = select_detections(
                scores[i], offsets[i], regions[i], SIZE, scales[i], coder, config
            )
            assert len(expected.scores) > 10
            if not found.complete[i]:
                assert ties == "keep" and len(expected.scores) >= limit + fixed.TIES
                continue
            ours = found.image(i, int(found.number[i]))
            for a, b in zip(ours, expected, strict=True):
                assert torch.equal(a, b)
        assert found.complete.any()
