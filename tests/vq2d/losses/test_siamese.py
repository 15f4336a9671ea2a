"""Losses of the comparison, and what the corrected hard negatives change."""

from __future__ import annotations

import math

import pytest
import torch

from egolib.vq2d.losses.siamese import (
    binary_loss,
    comparison_loss,
    cross_batch,
    divergence_loss,
    frame_loss,
    margin_loss,
    mine,
)

LOGITS = torch.tensor([0.0, 5.0, 1.0, 4.0, -2.0])
CLASSES = torch.tensor([0, 1, 1, 1, 1])


def test_nothing_to_compare() -> None:
    empty = torch.zeros(0, requires_grad=True)
    assert binary_loss(empty, torch.zeros(0, dtype=torch.long)).item() == 0


class TestHardNegatives:
    def test_few_negatives_are_all_kept(self) -> None:
        assert mine(LOGITS, CLASSES, 4)[0].tolist() == LOGITS.tolist()

    def test_hardest_keeps_the_highest_scored(self) -> None:
        logits, classes = mine(LOGITS, CLASSES, 2, "hardest")
        assert logits.tolist() == [0.0, 5.0, 4.0] and classes.tolist() == [0, 1, 1]

    def test_official_takes_their_places_in_the_wrong_list(self) -> None:
        """Places 0 and 2 among the negatives: the positive itself and the third entry."""
        logits, classes = mine(LOGITS, CLASSES, 2)
        assert logits.tolist() == [0.0, 1.0] and classes.tolist() == [0, 1]

    def test_the_choice_changes_the_loss(self) -> None:
        losses = [
            comparison_loss([LOGITS], [CLASSES], hard_negatives=2, choice=choice).item()
            for choice in ("official", "hardest")
        ]
        assert losses[1] > losses[0]


def test_divergence_is_zero_for_equal_distributions() -> None:
    logits = torch.tensor([0.0, -100.0])
    assert divergence_loss(logits, torch.tensor([0, 1])).item() == pytest.approx(0, abs=1e-6)


def test_margin() -> None:
    similarity, classes = torch.tensor([0.9, 0.8]), torch.tensor([0, 1])
    assert margin_loss(similarity, classes, 0.25).item() == pytest.approx(0.2)
    assert margin_loss(similarity, torch.tensor([0, 0])).item() == 0.0  # no pair


def test_frames() -> None:
    found = frame_loss(torch.zeros(2), [torch.tensor([0, 1]), torch.tensor([1, 1])], 0.1)
    assert found.item() == pytest.approx(0.1 * math.log(2))


def test_regions_of_other_images_are_background() -> None:
    first, second = cross_batch([torch.tensor([0, 1]), torch.tensor([1, 0, 0])])
    assert first.tolist() == [0, 1, 1, 1, 1]
    assert second.tolist() == [1, 1, 1, 0, 0]


def test_the_joint_loss_adds_a_choice() -> None:
    """Regions of references without their object count in the binary part only."""
    logits = [torch.tensor([2.0, 0.0, -1.0]), torch.tensor([1.0, 0.0])]
    classes = [torch.tensor([0, 1, 1]), torch.tensor([1, 1])]
    chosen = torch.logsumexp(logits[0], 0) - 2.0
    joint = comparison_loss(logits, classes, "joint")
    assert torch.isclose(joint, comparison_loss(logits, classes, "bce") + chosen)
    nothing = [torch.tensor([1, 1, 1]), torch.tensor([1, 1])]
    assert torch.isclose(
        comparison_loss(logits, nothing, "joint"), comparison_loss(logits, nothing, "bce")
    )
