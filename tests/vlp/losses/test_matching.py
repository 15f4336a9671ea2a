from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from egolib.vlp.losses.matching import (
    MatchingPlan,
    draw,
    make_plan,
    matching,
    negative_weights,
    plan_matching,
)


def plan(seed: int, similarity: torch.Tensor, **options) -> MatchingPlan:
    positives = torch.eye(len(similarity), dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    return plan_matching(similarity, positives, generator=generator, **options)


def test_positives_are_drawn_only_if_nothing_else_is_there() -> None:
    similarity = torch.tensor([[0.3, 0.0, 0.1]])
    weights = negative_weights(similarity, torch.tensor([[True, False, False]]))
    assert weights[0, 0] == pytest.approx(1e-9, rel=1e-3) and weights[0, 2] > weights[0, 1] > 1e-9
    full = negative_weights(similarity, torch.ones(1, 3, dtype=torch.bool))
    assert full[0].tolist() == pytest.approx([1e-9] * 3, rel=1e-3)


@pytest.mark.parametrize("size, kept", [(1, 0), (2, 1), (5, 2), (8, 4)])
def test_half_of_the_pairs_stay(size: int, kept: int) -> None:
    found = plan(0, torch.randn(size, size))
    rows = torch.arange(size)
    stay = found.labels == 1
    assert int(found.labels.sum()) == kept
    assert (found.video_source[stay] == rows[stay]).all()
    assert (found.text_source[stay] == rows[stay]).all()
    # a pair that does not stay keeps one of its sides
    assert ((found.video_source == rows) | (found.text_source == rows)).all()


@pytest.mark.parametrize("negatives, video, text", [("official", 2, 4), ("straight", 4, 2)])
def test_negatives_are_hard_and_official_names_are_crossed(
    negatives: str, video: int, text: int
) -> None:
    """Video i is closest to text i + 2, so text i is closest to video i + 4 (modulo 6)."""
    rows = torch.arange(6)
    similarity = torch.zeros(6, 6)
    similarity[(rows + 2) % 6, rows] = 0.9
    plans = [plan(seed, similarity, negatives=negatives) for seed in range(50)]
    for side, expected in (("video_source", video), ("text_source", text)):
        sources = torch.stack([getattr(p, side) for p in plans])
        shifts = ((sources - rows) % 6)[sources != rows]
        assert shifts.bincount(minlength=6).argmax().item() == expected


def test_given_draws_give_given_pairs() -> None:
    found = make_plan(
        torch.tensor([1, 0, 0]),
        torch.tensor([6, 7, 8]),
        torch.tensor([True, True, False]),
        torch.tensor([0, 1, 2]),
        torch.tensor([3, 4, 5]),
    )
    assert found.video_source.tolist() == [6, 1, 8]
    assert found.text_source.tolist() == [6, 7, 5]


def test_own_rows_of_a_larger_batch() -> None:
    found = plan(0, torch.randn(8, 8), first=4, count=2)
    assert len(found.labels) == 2
    stay = found.labels == 1
    assert (found.video_source[stay] == torch.tensor([4, 5])[stay]).all()


def test_the_same_generator_gives_the_same_pairs() -> None:
    similarity = torch.randn(8, 8)
    first, second = plan(3, similarity), plan(3, similarity)
    assert torch.equal(first.video_source, second.video_source)
    assert torch.equal(first.labels, second.labels)


def test_the_loss_is_cross_entropy() -> None:
    logits, labels = torch.randn(5, 2), torch.tensor([1, 0, 0, 1, 1])
    torch.testing.assert_close(matching(logits, labels), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("columns", [1, 7, 200])
def test_columns_are_drawn_as_torch_draws_them(columns: int) -> None:
    """The numbers come from the same generator in the same order, so the same are drawn."""
    weights = torch.rand(9, columns, generator=torch.Generator().manual_seed(1)) + 1e-9
    ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
    expected = torch.multinomial(weights, 1, generator=theirs)[:, 0]
    assert torch.equal(draw(weights, ours), expected)
    assert torch.equal(ours.get_state(), theirs.get_state())
