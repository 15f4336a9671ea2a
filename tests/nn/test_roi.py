"""Regions of interest: features from levels, examples, detections."""

from __future__ import annotations

from dataclasses import replace

import torch

from egolib.nn.assign import BACKGROUND
from egolib.nn.config import AssignConfig, BoxConfig, DetectionConfig, RoiAlignConfig, SampleConfig
from egolib.nn.roi import RoiAlign, roi_examples, select_detections
from egolib.ops.boxes import BoxCoder

SCALE = torch.ones(4)


def test_a_constant_map_gives_the_constant():
    pool = RoiAlign(RoiAlignConfig(size=3, sampling_ratio=0))
    maps = [torch.full((2, 5, 6, 8), 7.0)]
    regions = [torch.tensor([[20.0, 20, 60, 70]]), torch.tensor([[0.0, 0, 90, 90]] * 2)]
    assert torch.equal(pool(maps, regions), torch.full((3, 5, 3, 3), 7.0))
    assert pool(maps, [torch.zeros(0, 4)] * 2).shape == (0, 5, 3, 3)


def test_level_follows_the_side_length():
    pool = RoiAlign(RoiAlignConfig(strides=(4, 8, 16, 32)))
    sides = torch.tensor([10.0, 111.9, 112, 223.9, 224, 448, 5000])
    boxes = torch.stack([torch.zeros(7), torch.zeros(7), sides, sides], 1)
    assert pool.levels(boxes).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_several_levels_equal_pooling_from_each():
    settings = RoiAlignConfig(size=2, strides=(4, 8), sampling_ratio=0)
    maps = [torch.randn(1, 3, 64, 64), torch.randn(1, 3, 32, 32)]
    boxes = torch.tensor([[0.0, 0, 30, 30], [0, 0, 200, 200], [9, 9, 40, 44]])
    pooled = RoiAlign(settings)(maps, [boxes])
    fine = RoiAlign(replace(settings, strides=(4,)))(maps[:1], [boxes])
    coarse = RoiAlign(replace(settings, strides=(8,)))(maps[1:], [boxes])
    assert torch.equal(pooled, torch.stack([fine[0], coarse[1], fine[2]]))


TRUTH = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
PROPOSALS = torch.tensor([[0.0, 0, 10, 9], [50, 50, 60, 60], [21, 20, 40, 40]])


def test_examples_join_the_truth_first_last_or_not():
    def draw(where):
        return roi_examples(
            PROPOSALS, TRUTH, AssignConfig(), SampleConfig(100, 1.0), add_truth=where
        )

    first, last, alone = draw("first"), draw("last"), draw("no")
    assert first.truth.tolist() == [0, 1, 0, 1, BACKGROUND] and first.positive == 4
    assert last.truth.tolist() == [0, 1, 0, 1, BACKGROUND]
    assert torch.equal(first.boxes[:2], TRUTH) and torch.equal(last.boxes[2:4], TRUTH)
    assert alone.truth.tolist() == [0, 1, BACKGROUND]


def test_truth_added_first_is_its_own_example_even_where_truths_overlap():
    truth = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    found = roi_examples(PROPOSALS[:0], truth, AssignConfig(), SampleConfig(10, 1.0))
    assert found.truth.tolist() == [0, 1]


def test_examples_without_truth_are_background():
    found = roi_examples(PROPOSALS, TRUTH[:0], AssignConfig(), SampleConfig(2, 0.25))
    assert found.positive == 0 and found.truth.tolist() == [BACKGROUND] * 2


def test_nothing_above_the_threshold():
    found = select_detections(
        torch.zeros(3, 2),
        torch.zeros(3, 2, 4),
        PROPOSALS,
        (99, 99),
        SCALE,
        BoxCoder(),
        DetectionConfig(),
    )
    assert found.boxes.shape == (0, 4) and len(found.labels) == len(found.scores) == 0


def test_detections_equal_a_literal_loop():
    generator = torch.Generator().manual_seed(1)
    scores = torch.rand(40, 5, generator=generator)
    offsets = torch.randn(40, 5, 4, generator=generator) * 0.3
    low = torch.rand(40, 2, generator=generator) * 60
    regions = torch.cat([low, low + 10 + 30 * torch.rand(40, 2, generator=generator)], 1)
    coder, config = BoxCoder(BoxConfig(weights=(5, 5, 5, 5))), DetectionConfig(0.3, 0.5, 30)
    scale = torch.tensor([2.0, 2, 2, 2])
    found = select_detections(scores, offsets, regions, (80, 90), scale, coder, config)

    from egolib.ops.boxes import clip, nms

    rows = []
    for label in range(5):
        boxes = clip(coder.decode(regions, offsets[:, label]), (80, 90)) / scale
        high = (scores[:, label] > 0.3).nonzero()[:, 0]
        for i in high[nms(boxes[high], scores[high, label], 0.5)].tolist():
            rows.append((float(scores[i, label]), label, boxes[i].tolist()))
    rows = sorted(rows, reverse=True)[:30]
    assert found.scores.tolist() == [r[0] for r in rows]
    assert found.labels.tolist() == [r[1] for r in rows]
    torch.testing.assert_close(found.boxes, torch.tensor([r[2] for r in rows]))


def test_ties_at_the_limit_and_rescaling_after_suppression():
    regions = torch.tensor([[0.0, 0, 8, 8], [20, 20, 30, 30], [40, 40, 50, 50]])
    scores = torch.tensor([[0.5], [0.9], [0.5]])
    config = DetectionConfig(limit=2, rescale="after")
    args = (scores, None, regions, (99, 99), 2 * SCALE, BoxCoder())
    assert select_detections(*args, config).scores.tolist() == [0.8999999761581421, 0.5]
    found = select_detections(*args, replace(config, limit_ties="keep"))
    assert len(found.scores) == 3
    assert found.boxes[0].tolist() == [10, 10, 15, 15]
