"""Boxes: measures, transforms, offsets, suppression. The empty case comes first."""

from __future__ import annotations

import pytest
import torch

from egolib.nn.config import BoxConfig
from egolib.ops import boxes as bx

EMPTY = torch.zeros(0, 4)


def rows(*boxes: list[float]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("boxes", "extent", "expected"),
    [
        (EMPTY, 0.0, []),
        (rows([0, 0, 2, 3]), 0.0, [6.0]),
        (rows([0, 0, 2, 3]), 1.0, [12.0]),
        (rows([5, 5, 5, 9], [5, 5, 3, 9]), 0.0, [0.0, 0.0]),
        (rows([5, 5, 5, 5]), 1.0, [1.0]),
    ],
)
def test_area(boxes, extent, expected):
    assert bx.area(boxes, extent).tolist() == expected


@pytest.mark.parametrize(
    ("boxes", "others", "extent", "expected"),
    [
        (EMPTY, rows([0, 0, 1, 1]), 0.0, torch.zeros(0, 1)),
        (rows([0, 0, 2, 2]), EMPTY, 0.0, torch.zeros(1, 0)),
        (rows([0, 0, 2, 2]), rows([0, 0, 2, 2], [2, 2, 4, 4], [1, 0, 3, 2]), 0.0, [[1, 0, 1 / 3]]),
        (rows([0, 0, 1, 1]), rows([1, 1, 2, 2]), 1.0, [[1 / 7]]),
        (rows([3, 3, 3, 3]), rows([3, 3, 3, 3]), 0.0, [[0.0]]),
    ],
)
def test_iou(boxes, others, extent, expected):
    torch.testing.assert_close(bx.iou(boxes, others, extent), torch.as_tensor(expected))


@pytest.mark.parametrize(
    ("boxes", "extent", "expected"),
    [
        (EMPTY, 0.0, EMPTY),
        (rows([-1, -2, 30, 40]), 0.0, rows([0, 0, 20, 10])),
        (rows([-1, -2, 30, 40]), 1.0, rows([0, 0, 19, 9])),
        (rows([25, 3, 26, 4]), 0.0, rows([20, 3, 20, 4])),
    ],
)
def test_clip_stops_at_every_edge(boxes, extent, expected):
    assert torch.equal(bx.clip(boxes, (10, 20), extent), expected)


def test_flip_twice_is_nothing():
    boxes = rows([1, 2, 5, 6], [0, 0, 20, 3])
    assert torch.equal(bx.flip(boxes[:1], 20), rows([15, 2, 19, 6]))
    for extent in (0.0, 1.0):
        assert torch.equal(bx.flip(bx.flip(boxes, 20, extent), 20, extent), boxes)


def test_xywh_round_trip_and_area_mask():
    boxes = rows([1, 2, 5, 6], [3, 3, 3, 9])
    assert bx.to_xywh(boxes).tolist() == [[1, 2, 4, 4], [3, 3, 0, 6]]
    assert torch.equal(bx.from_xywh(bx.to_xywh(boxes)), boxes)
    assert bx.has_area(boxes).tolist() == [True, False]


@pytest.mark.parametrize("extent", [0.0, 1.0])
@pytest.mark.parametrize("clamp", ["both", "above"])
def test_coder_inverts_itself(extent, clamp):
    coder = bx.BoxCoder(BoxConfig(extent, (10, 10, 5, 5), clamp))
    references = rows([0, 0, 10, 20], [5, 6, 50, 40])
    targets = rows([2, 3, 9, 30], [0, 0, 60, 30])
    decoded = coder.decode(references, coder.encode(references, targets))
    torch.testing.assert_close(decoded, targets)
    assert coder.encode(EMPTY, EMPTY).shape == coder.decode(EMPTY, EMPTY).shape == (0, 4)


def test_clamp_above_lets_boxes_shrink():
    reference, offsets = rows([0, 0, 10, 10]), torch.tensor([[0.0, 0, -9, 9]])
    both = bx.BoxCoder(BoxConfig(clamp="both")).decode(reference, offsets)[0]
    above = bx.BoxCoder(BoxConfig(clamp="above")).decode(reference, offsets)[0]
    torch.testing.assert_close(both[2] - both[0], torch.tensor(0.16))
    assert above[2] - above[0] < 0.01
    torch.testing.assert_close(above[3] - above[1], torch.tensor(625.0))


def test_nms_keeps_at_the_threshold_and_suppresses_above_it():
    boxes = rows([0, 0, 2, 1], [0, 0, 1, 1], [0, 0, 1.9, 1])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert bx.nms(boxes, scores, 0.5).tolist() == [1, 0]  # IoU exactly 0.5 stays
    assert bx.nms(EMPTY, torch.zeros(0), 0.5).tolist() == []


def test_nms_extent_counts_the_last_pixel():
    boxes, scores = rows([0, 0, 2, 0], [0, 0, 1, 0]), torch.tensor([0.9, 0.8])
    assert bx.nms(boxes, scores, 0.6).tolist() == [0, 1]  # no area at all
    assert bx.nms(boxes, scores, 0.6, extent=1).tolist() == [0]  # 2 pixels of 3


def test_nms_by_group_equals_suppressing_each_group():
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(200, 2, generator=generator) * 50
    boxes = torch.cat([low, low + 5 + 20 * torch.rand(200, 2, generator=generator)], 1)
    scores = (torch.rand(200, generator=generator) * 50).round() / 50  # with ties
    groups = torch.randint(0, 7, (200,), generator=generator)
    kept = bx.nms_by_group(boxes, scores, groups, 0.4)
    for group in range(7):
        members = (groups == group).nonzero()[:, 0]
        alone = members[bx.nms(boxes[members], scores[members], 0.4)]
        assert kept[groups[kept] == group].tolist() == alone.tolist()
    ranked = sorted(kept.tolist(), key=lambda i: (-float(scores[i]), i))
    assert kept.tolist() == ranked
    assert bx.nms_by_group(EMPTY, torch.zeros(0), torch.zeros(0).long(), 0.4).tolist() == []
