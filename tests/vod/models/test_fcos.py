"""FCOS: targets, centerness, selection."""

from __future__ import annotations

import torch

from egolib.vod.models.fcos import DenseOutput, boxes_around, level_points, true_centerness
from egolib.vod.models.frames import Truth
from tests.vod.small import CLASSES, SIZE, clip, frames, make, settings


def test_points_are_centres_of_cells():
    points = level_points(torch.zeros(1, 2, 3), 8)
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12]]


def test_centerness():
    distances = torch.tensor([[5.0, 5, 5, 5], [1.0, 4, 4, 4], [0.0, 3, 3, 3]])
    torch.testing.assert_close(true_centerness(distances), torch.tensor([1.0, 0.5, 0.0]))
    assert true_centerness(torch.zeros(0, 4)).shape == (0,)


def test_boxes_around_points():
    boxes = boxes_around(torch.tensor([[10.0, 20]]), torch.tensor([[1.0, 2, 3, 4]]))
    assert boxes.tolist() == [[9, 18, 13, 24]]


def empty_output(sizes) -> DenseOutput:
    return DenseOutput(
        [torch.zeros(1, CLASSES, *s) for s in sizes],
        [torch.zeros(1, 4, *s) for s in sizes],
        [torch.zeros(1, 1, *s) for s in sizes],
    )


def test_a_location_learns_the_smallest_box_of_its_level():
    model, _ = make("fcos")
    detector = model.detector
    sizes = [(8, 12), (4, 6), (2, 3), (1, 2), (1, 1)]
    output = empty_output(sizes)
    points = torch.cat(
        [level_points(x, s) for x, s in zip(output.logits, (8, 16, 32, 64, 128), strict=False)]
    )
    truth = Truth(torch.tensor([[0.0, 0, 60, 60], [10.0, 10, 30, 30]]), torch.tensor([2, 4]))
    distances, labels = detector._targets(points, output, truth)
    assert labels[8 * 0 + 0] == 2  # (4, 4): only the large box
    assert labels[12 * 2 + 2] == 4  # (20, 20): both, the small one wins
    assert distances[12 * 2 + 2].tolist() == [10, 10, 10, 10]
    assert labels[11] == CLASSES  # (92, 4): none
    assert (labels[96 : 96 + 24] == CLASSES).all()  # both boxes are too small for stride 16


def test_without_truth_all_is_background():
    model, _ = make("fcos")
    nothing = Truth(torch.zeros(0, 4), torch.zeros(0).long())
    maps = model.detector.maps(frames(1).images)
    losses = model.detector.losses(maps, SIZE, nothing)
    assert losses["boxes"] == 0 and losses["centerness"] == 0 and losses["classes"] > 0


def test_initial_probability_of_a_positive():
    from egolib.vod.models.build import build_model
    from tests.vod.small import BUILDERS, reduced

    torch.manual_seed(0)
    model = build_model(reduced(BUILDERS["fcos"]()))
    with torch.no_grad():
        output = model.detector.head(
            [torch.zeros(1, 16, 4, 4)] * 5, [torch.zeros(1, 16, 4, 4)] * 5, [0]
        )
    torch.testing.assert_close(
        output.logits[0].sigmoid().mean(), torch.tensor(0.01), rtol=0.05, atol=0
    )


def test_some_levels_only():
    model, _ = make("fcos")
    frame = frames(1)
    maps = model.detector.maps(frame.images)
    found = model.detector.detect_levels(maps, maps, frame, [1, 3], settings(model.config))[0]
    assert set(found.levels.tolist()) <= {1, 3} and len(found.found.scores)


def test_gradients_reach_both_towers():
    model, _ = make("fcos")
    losses = model.losses(clip(0))
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.detector.head.parameters())
