"""Who is responsible for which moment, quirks included."""

from __future__ import annotations

import pytest
import torch

from egolib.mq.config import LossConfig
from egolib.mq.localization.anchors import make_anchors
from egolib.mq.localization.assignment import assign, assign_batch, box_iou, match
from tests.mq.small import SMALL

ANCHORS = make_anchors(SMALL.level_lengths, SMALL.anchor_scales)
OFFICIAL, IGNORE = LossConfig(), LossConfig(zero_iou_truths="ignore")


def moments(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)


def test_a_box_equal_to_its_moment_does_not_reach_one():
    moment = moments((10, 12))
    assert box_iou(moment, moment).item() == pytest.approx(2 / 3)
    assert box_iou(moment, moment, "plain").item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("iou", "expected", "without"),
    [
        ([[0.6, 0.4, 0.0]], [0, -1, -1], [0, -1, -1]),
        ([[0.3, 0.2, 0.3]], [0, -1, 0], [-1, -1, -1]),  # all best boxes, however low
        ([[0.3, 0.2], [0.4, 0.1]], [1, -1], [-1, -1]),  # their own best moment, maybe another
        ([[0.5, 0.1], [0.5, 0.1]], [0, -1], [0, -1]),  # the first among equals
    ],
)
def test_rules(iou, expected, without):
    iou = torch.tensor(iou)
    assert match(iou, 0.5).tolist() == expected
    assert match(iou, 0.5, low_quality=False).tolist() == without


def test_a_moment_that_overlaps_nothing_makes_all_boxes_positive():
    rows, labels = moments((10, 20), (30, 30)), torch.tensor([1, 2])
    official, _ = assign(ANCHORS, rows, labels, 0.5, OFFICIAL)
    ignored, _ = assign(ANCHORS, rows, labels, 0.5, IGNORE)
    alone, _ = assign(ANCHORS, rows[:1], labels[:1], 0.5, OFFICIAL)
    assert (official > 0).all()
    assert torch.equal(ignored, alone)


def test_no_moment_makes_background():
    classes, matched = assign(ANCHORS, moments(), torch.zeros(0, dtype=torch.long), 0.5, OFFICIAL)
    assert not classes.any()
    assert matched.shape == ANCHORS.shape


def test_batches_of_boxes_or_shared_anchors():
    rows = [moments((10, 20)), moments((0, 5), (40, 60))]
    labels = [torch.tensor([1]), torch.tensor([2, 3])]
    shared = assign_batch(ANCHORS, rows, labels, 0.5, OFFICIAL)
    each = assign_batch(ANCHORS.expand(2, -1, -1), rows, labels, 0.5, OFFICIAL)
    assert torch.equal(shared.classes, each.classes)
    assert set(shared.classes[1].unique().tolist()) == {0, 2, 3}
    positive = shared.moments[0][shared.positive[0]]
    assert torch.equal(positive, rows[0].expand_as(positive))


def test_plain_overlap_gives_short_moments_more_boxes():
    rows, labels = moments((10, 12)), torch.tensor([1])
    plain = LossConfig(anchor_iou="plain")
    boxes = moments((10, 12), (10, 12.5), (9.5, 12))
    counts = [(assign(boxes, rows, labels, 0.7, c)[0] > 0).sum() for c in (OFFICIAL, plain)]
    assert counts == [1, 3]
