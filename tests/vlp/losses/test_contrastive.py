from __future__ import annotations

import pytest
import torch

from egolib.vlp.losses.contrastive import egonce, norm_softmax, order_loss, positive_pairs
from egolib.vlp.losses.similarity import cosine_similarity


@pytest.mark.parametrize(
    "similarity, opposites, expected",
    [
        ([[0.4, 0.4], [0.4, 0.4]], [], 0.0),
        ([[0.4, 0.4], [0.4, 0.4]], [[0, 1]], 0.6931),  # cannot tell
        ([[1.0, -1.0], [-1.0, 1.0]], [[0, 1]], 0.0),
        ([[0.1, 0.2], [0.0, 0.2]], [[0, 1]], 0.3133),  # ln(1 + exp(-0.1 / 0.1))
        ([[-1.0, 1.0], [1.0, -1.0]], [[0, 1]], 40.0),
    ],
)
def test_order(similarity: list, opposites: list, expected: float) -> None:
    rows = torch.tensor(opposites, dtype=torch.int64).reshape(-1, 2)
    assert order_loss(torch.tensor(similarity), rows).item() == pytest.approx(expected, abs=1e-4)


def test_cosines_of_zero_rows_are_zero() -> None:
    a = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    torch.testing.assert_close(cosine_similarity(a, a), torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    assert cosine_similarity(a[:0], a).shape == (0, 2)


@pytest.mark.parametrize(
    "nouns, verbs, expected",
    [
        ([[1, 0], [1, 0], [0, 1]], [[1, 0], [1, 0], [1, 0]], [[1, 1, 0], [1, 1, 0], [0, 0, 1]]),
        ([[1, 0], [1, 0], [0, 1]], [[1, 0], [0, 1], [1, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ([[1, 0], [1, 1], [0, 1]], None, [[1, 1, 0], [1, 1, 1], [0, 1, 1]]),
        ([[0, 0], [0, 0], [0, 0]], None, torch.eye(3).tolist()),  # untagged clips
        (None, None, torch.eye(3).tolist()),
    ],
)
def test_positive_pairs(nouns, verbs, expected) -> None:
    tensors = [None if v is None else torch.tensor(v, dtype=torch.float) for v in (nouns, verbs)]
    assert positive_pairs(*tensors, count=3).int().tolist() == expected


def test_without_tags_the_size_is_needed() -> None:
    with pytest.raises(ValueError):
        positive_pairs(None, None)


def test_egonce_is_the_published_formula() -> None:
    torch.manual_seed(0)
    similarity = torch.randn(4, 4, dtype=torch.float64) * 0.2
    positives = torch.rand(4, 4) < 0.4
    positives.fill_diagonal_(True)  # not symmetric: the mask is not transposed
    rows, columns = (x.softmax(1) for x in (similarity / 0.05, similarity.T / 0.05))
    expected = -sum((p * positives).sum(1).log().mean() for p in (rows, columns))
    torch.testing.assert_close(egonce(similarity, positives), expected)


def test_it_stays_finite_where_softmax_underflows() -> None:
    similarity = torch.tensor([[0.0, 50.0], [50.0, 0.0]], requires_grad=True)
    loss = norm_softmax(similarity)
    loss.backward()
    assert loss.item() == pytest.approx(2 * 1000)
    assert similarity.grad is not None and similarity.grad.isfinite().all()


def test_all_positives_cost_nothing() -> None:
    assert egonce(torch.randn(3, 3), torch.ones(3, 3, dtype=torch.bool)).item() == 0
