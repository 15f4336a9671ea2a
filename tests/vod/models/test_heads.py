"""Region heads: background places, losses, attention."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from egolib.nn.roi import RoiExamples
from egolib.vod.models.frames import Truth
from egolib.vod.models.heads import Aggregator, Predictor, RegionHead, join_projected
from tests.vod.small import BUILDERS, CLASSES, reduced

TRUTH = Truth(torch.tensor([[0.0, 0, 10, 10], [5, 5, 30, 30]]), torch.tensor([3, 0]))
EXAMPLES = RoiExamples(
    torch.tensor([[0.0, 0, 9, 10], [4, 5, 30, 31], [50, 50, 60, 60]]), torch.tensor([0, 1, -1]), 2
)


@pytest.mark.parametrize(("background", "expected"), [("last", [3, 0, 5]), ("first", [4, 1, 0])])
def test_places_of_classes(background: str, expected: list[int]):
    predictor = Predictor(8, CLASSES, background)
    assert predictor.targets(EXAMPLES, TRUTH).tolist() == expected
    output = predictor(torch.randn(3, 8))
    assert output.logits.shape == (3, CLASSES + 1)
    scores, offsets = predictor.foreground(output)
    assert scores.shape == (3, CLASSES) and offsets.shape == (3, CLASSES, 4)
    first = int(background == "first")
    assert torch.equal(scores, output.logits.softmax(1)[:, first : first + CLASSES])


@pytest.mark.parametrize("name", ["single", "c4"])
def test_losses_match_a_hand_count(name: str):
    config = reduced(BUILDERS[name]())
    head = RegionHead(4, config)
    x = torch.randn(3, config.head.width)
    losses = head.losses(x, EXAMPLES, TRUTH)
    output = head.predict(x)
    labels = head.predict.targets(EXAMPLES, TRUTH)
    torch.testing.assert_close(losses["classes"], F.cross_entropy(output.logits, labels))
    target = head.coder.encode(EXAMPLES.boxes[:2], TRUTH.boxes)
    own = torch.stack([output.offsets[0, labels[0]], output.offsets[1, labels[1]]])
    expected = F.smooth_l1_loss(own, target, reduction="sum", beta=config.head.beta) / 3
    torch.testing.assert_close(losses["boxes"], expected)


def test_losses_without_any_example():
    head = RegionHead(4, reduced(BUILDERS["single"]()))
    none = RoiExamples(torch.zeros(0, 4), torch.zeros(0).long(), 0)
    losses = head.losses(torch.zeros(0, 32), none, TRUTH)
    assert losses["classes"] == 0 and losses["boxes"] == 0


def test_aggregator_equals_the_formula():
    torch.manual_seed(0)
    aggregator = Aggregator(12, 3)
    x, support = torch.randn(5, 12), torch.randn(7, 12)
    q, k, v = (
        layer(y).view(len(y), 3, 4).transpose(0, 1)
        for layer, y in (
            (aggregator.query, x),
            (aggregator.key, support),
            (aggregator.value, support),
        )
    )
    weights = (q @ k.transpose(1, 2) / 2).softmax(-1)
    expected = aggregator.out((weights @ v).transpose(0, 1).reshape(5, 12))
    torch.testing.assert_close(aggregator(x, aggregator.project(support)), expected)


def test_projections_of_parts_join():
    aggregator, support = Aggregator(12, 3), torch.randn(7, 12)
    parts = [aggregator.project(support[:3]), aggregator.project(support[3:])]
    joined, whole = join_projected(parts), aggregator.project(support)
    torch.testing.assert_close(joined.keys, whole.keys)
    torch.testing.assert_close(joined.values, whole.values)
