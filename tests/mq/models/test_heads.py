"""Heads: the order of anchors, and curves."""

from __future__ import annotations

import torch

from egolib.mq.localization.anchors import make_anchors
from egolib.mq.models.heads import CurveHead, DetectionHead, flatten_levels
from tests.mq.small import SMALL


def test_anchor_order_is_level_position_scale():
    fine = torch.arange(2 * 2 * 3).reshape(1, 4, 3)  # 2 scales of 2 values, 3 positions
    coarse = 100 + torch.arange(4).reshape(1, 4, 1)
    flat = flatten_levels([fine, coarse], 2)
    assert flat.tolist() == [
        [[0, 3], [6, 9], [1, 4], [7, 10], [2, 5], [8, 11], [100, 101], [102, 103]]
    ]


def test_one_prediction_for_every_anchor():
    levels = [torch.randn(2, 16, n) for n in SMALL.level_lengths]
    logits, offsets = DetectionHead(SMALL)(levels)
    anchors = make_anchors(SMALL.level_lengths, SMALL.anchor_scales)
    assert logits.shape == (2, len(anchors), 4)
    assert offsets.shape == (2, len(anchors), 2)
    assert len(anchors) == SMALL.boxes


def test_curves_are_probabilities():
    curve = CurveHead(SMALL)(torch.randn(2, 16, 64))
    assert curve.shape == (2, 64)
    assert ((curve >= 0) & (curve <= 1)).all()
