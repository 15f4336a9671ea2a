from __future__ import annotations

import pytest
import torch

from egolib.vlp.losses.margin import max_margin, quantised, sms


def literal_max_margin(similarity: torch.Tensor, margins: list[float]) -> float:
    n, terms = len(similarity), []
    for i in range(n):
        for j in range(n):
            if i != j:
                pair = similarity[i, i]
                terms.append(max(0.0, float(margins[i] - (pair - similarity[i, j]))))
                terms.append(max(0.0, float(margins[i] - (pair - similarity[j, i]))))
    return sum(terms) / len(terms)


def literal_sms(similarity: torch.Tensor, relevancy: torch.Tensor, w: torch.Tensor) -> float:
    """Entry by entry: texts against other texts' videos, videos against other videos' texts."""
    n, terms, epsilon = len(similarity), [], 1.1 / 240
    stored = (relevancy * 240).floor() / 240
    for i in range(n):
        for j in (j for j in range(n) if j != i):
            for r, s in ((stored[i, j], similarity[j, i]), (stored[j, i], similarity[i, j])):
                d = float(w[i] - r)
                z = 0.6 * d - float(similarity[i, i] - s)
                if d > epsilon:
                    terms.append(max(0.0, z))
                elif d < -epsilon:
                    terms.append(max(0.0, -z))
                else:
                    terms.append(max(0.0, abs(z) - 0.1))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 0.25, 0.75]])
def test_max_margin(weights) -> None:
    torch.manual_seed(0)
    similarity = torch.randn(4, 4)
    given = None if weights is None else torch.tensor(weights)
    margins = [0.2 * w for w in weights or [1.0] * 4]
    found = max_margin(similarity, 0.2, given).item()
    assert found == pytest.approx(literal_max_margin(similarity, margins), rel=1e-5)


def test_the_diagonal_adds_its_constant_margin() -> None:
    similarity = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    assert max_margin(similarity).item() == 0
    # four of eight terms are pairs with themselves
    assert max_margin(similarity, include_diagonal=True).item() == pytest.approx(0.1)


def test_sms() -> None:
    torch.manual_seed(1)
    relevancy = torch.randint(0, 5, (5, 5)).double() / 4
    weights = relevancy.diagonal().float()
    similarity = torch.randn(5, 5)
    found = sms(similarity, relevancy, weights).item()
    assert found == pytest.approx(literal_sms(similarity, relevancy, weights), rel=1e-5)


def test_relevancies_are_stored_in_eight_bits() -> None:
    values = torch.tensor([0.0, 1 / 3, 0.5, 0.999, 1.0], dtype=torch.float64)
    assert (quantised(values) * 240).tolist() == pytest.approx([0, 80, 120, 239, 240])
