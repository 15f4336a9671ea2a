"""Region proposals: selection, conventions, losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.nn.config import AnchorConfig, AssignConfig, ProposalConfig, RpnConfig, SampleConfig
from egolib.nn.rpn import RegionProposals, RpnOutput, smooth_l1
from egolib.ops import boxes as bx

TWO_LEVELS = AnchorConfig((8, 16), ((16.0,), (32.0,)))
LIMITS = ProposalConfig(before=50, after=20)
CONFIG = RpnConfig(anchors=TWO_LEVELS, train=LIMITS, test=LIMITS, border=-1)


def outputs(seed: int = 0, spread: float = 1.0) -> RpnOutput:
    generator = torch.Generator().manual_seed(seed)
    sizes = [(8, 10), (4, 5)]
    logits = [torch.randn(2, 3, *s, generator=generator) for s in sizes]
    return RpnOutput(logits, [spread * torch.randn(2, 12, *s, generator=generator) for s in sizes])


def test_proposals_are_sorted_inside_the_image_and_not_suppressing_each_other():
    rpn = RegionProposals(4, CONFIG)
    for size, found in zip(
        ((60, 80), (50, 70)), rpn.propose(outputs(), [(60, 80), (50, 70)]), strict=False
    ):
        assert len(found.boxes) == 20
        assert (found.scores.diff() <= 0).all()
        assert bx.has_area(found.boxes).all()
        assert torch.equal(found.boxes, bx.clip(found.boxes, size))


def test_batch_equals_single_images():
    rpn, both = RegionProposals(4, CONFIG), outputs()
    sizes = [(60, 80), (50, 70)]
    for i, found in enumerate(rpn.propose(both, sizes)):
        alone = rpn.propose(both.image(i), sizes[i : i + 1])[0]
        assert torch.equal(found.boxes, alone.boxes)


def test_levels_do_not_suppress_each_other():
    config = replace(CONFIG, anchors=AnchorConfig((16, 16), ((32.0,), (32.0,)), (1.0,)))
    rpn = RegionProposals(4, config)
    same = RpnOutput([torch.zeros(1, 1, 1, 1)] * 2, [torch.zeros(1, 4, 1, 1)] * 2)
    found = rpn.propose(same, [(64, 64)])[0]
    assert len(found.boxes) == 2 and torch.equal(found.boxes[0], found.boxes[1])


def test_ranking_by_logit_or_probability_gives_the_same_boxes():
    rpn = RegionProposals(4, CONFIG)
    by_logit = rpn.propose(outputs(), [(60, 80)] * 2, replace(LIMITS, rank_by="logit"))
    by_probability = rpn.propose(outputs(), [(60, 80)] * 2)
    assert torch.equal(by_logit[0].boxes, by_probability[0].boxes)
    torch.testing.assert_close(by_logit[0].scores.sigmoid(), by_probability[0].scores)


def test_empty_boxes_stay_only_on_demand():
    rpn = RegionProposals(4, CONFIG)
    found = rpn.propose(outputs(), [(4, 4)] * 2, replace(LIMITS, before=1000, after=1000))
    kept = rpn.propose(outputs(), [(4, 4)] * 2, ProposalConfig(1000, 1000, drop_empty=False))
    assert bx.has_area(found[0].boxes).all() and not bx.has_area(kept[0].boxes).all()


def test_losses_match_a_hand_count():
    config = RpnConfig(
        anchors=AnchorConfig((16,), ((16.0,),), (1.0,)),
        assign=AssignConfig(0.7, 0.3),
        sample=SampleConfig(8, 0.5),
        border=-1,
    )
    rpn = RegionProposals(4, config)
    output = RpnOutput([torch.zeros(1, 1, 1, 2)], [torch.ones(1, 4, 1, 2)])
    truth = [torch.tensor([[-8.0, -8, 8, 8]])]  # the first of two anchors
    losses = rpn.losses(output, [(16, 32)], truth)
    torch.testing.assert_close(losses["objectness"], torch.tensor(2.0).log())
    torch.testing.assert_close(losses["rpn_box"], torch.tensor(4 * (1 - 1 / 18) / 2))
    asked = RegionProposals(4, replace(config, normalise="asked")).losses(output, [(16, 32)], truth)
    torch.testing.assert_close(asked["rpn_box"], losses["rpn_box"] * 2 / 8)


def test_losses_without_truth_and_gradients():
    rpn = RegionProposals(4, CONFIG)
    maps = [torch.randn(1, 4, 8, 10), torch.randn(1, 4, 4, 5)]
    losses = rpn.losses(rpn(maps), [(60, 80)], [torch.zeros(0, 4)])
    assert losses["rpn_box"] == 0 and losses["objectness"] > 0
    truth = [torch.tensor([[3.0, 4, 20, 22]])]
    losses = rpn.losses(rpn(maps), [(60, 80)], truth, torch.Generator().manual_seed(0))
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in rpn.parameters())


def test_border_leaves_out_anchors_that_cross_it():
    inside = RegionProposals(4, replace(CONFIG, border=0.0))
    anchors = torch.cat(inside.anchors([(8, 10), (4, 5)], "cpu"))
    mask = inside._inside(anchors, (60, 80), 0.0)
    assert 0 < mask.sum() < len(anchors)
    assert (anchors[mask][:, :2] >= 0).all() and (anchors[mask][:, 3] < 60).all()


@pytest.mark.parametrize(
    ("beta", "expected"), [(0.0, 2.5), (1.0, 0.125 + 1.5), (2.0, 0.0625 + 1.0)]
)
def test_smooth_l1(beta, expected):
    found = smooth_l1(torch.tensor([0.5, -2.0]), torch.zeros(2), beta)
    torch.testing.assert_close(found, torch.tensor(expected))
