"""Anchors and their coder."""

from __future__ import annotations

import torch

from egolib.mq.localization.anchors import decode, encode, make_anchors


def test_anchors_of_two_levels():
    anchors = make_anchors((2, 1), (1, 4))
    assert anchors.tolist() == [
        [0.5, 0.5],  # length 1 = end - start + 1
        [-1, 2],
        [1.5, 1.5],
        [0, 3],
        [0.5, 1.5],
        [-2.5, 4.5],
    ]


def test_coder_round_trip():
    torch.manual_seed(0)
    boxes, truths = (torch.rand(100, 2).mul(50).sort(-1).values for _ in range(2))
    torch.testing.assert_close(decode(boxes, encode(boxes, truths)), truths, rtol=1e-4, atol=1e-3)


def test_growth_is_limited():
    (found,) = decode(torch.tensor([[10.0, 10.0]]), torch.tensor([[0.0, 1000.0]]))
    torch.testing.assert_close(found[1] - found[0] + 1, torch.tensor(62.5))
