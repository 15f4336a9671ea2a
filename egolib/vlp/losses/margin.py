"""Margin losses of a matrix of similarities, for retrieval with graded relevancy.

Legend: N pairs; rows of ``similarity`` are texts, columns videos, pairs on the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: The SMS authors keep relevancies as 8-bit numbers: this many steps to 1, truncated.
RELEVANCY_STEPS = 240


def max_margin(
    similarity: Tensor,
    margin: float = 0.2,
    weights: Tensor | None = None,
    include_diagonal: bool = False,
) -> Tensor:
    """Mean hinge of every pair against its row and its column.

    With weights this is the adaptive loss (arXiv 2206.01670, section B): the margin of
    pair i is ``weights[i] * margin``.

    Args:
        similarity: (N, N) float.
        margin: that pairs should keep to others.
        weights: (N,) relevancy of each pair's caption; None for 1.
        include_diagonal: count the pairs themselves too, with their constant margin.
    """
    pair = similarity.diagonal()[:, None]
    margins = margin if weights is None else margin * weights[:, None]
    hinges = torch.stack(
        [F.relu(margins - (pair - similarity)), F.relu(margins - (pair - similarity.mT))]
    )
    return hinges.mean() if include_diagonal else _off_diagonal(hinges).mean()


def sms(
    similarity: Tensor, relevancy: Tensor, weights: Tensor, margin: float = 0.6, slack: float = 0.1
) -> Tensor:
    """The symmetric multi-similarity loss with soft labels.

    The hinge of pair i against item j asks for a difference of ``margin`` times the
    difference d of their relevancies: more relevant items must score higher, equally
    relevant ones (within one step of the stored 8 bits) within ``slack``.

    Args:
        similarity: (N, N) float.
        relevancy: (N, N) float, of the clip of pair i for the caption of pair j; rounded
            down to 8 bits here, as the authors store it.
        weights: (N,) relevancy of each pair's own caption.
        margin: per difference of 1 in relevancy.
        slack: that equally relevant items may differ by.
    """
    stored = quantised(relevancy).to(similarity.dtype)
    pair = similarity.diagonal()[:, None]
    hinges = [
        _soft_hinge(weights[:, None] - r, pair - s, margin, slack)
        for r, s in ((stored, similarity.mT), (stored.mT, similarity))
    ]
    return _off_diagonal(torch.stack(hinges)).mean()


def quantised(relevancy: Tensor) -> Tensor:
    """Relevancies as the SMS authors store them: 8 bits, truncated (in double precision)."""
    return (relevancy.double() * RELEVANCY_STEPS).floor() / RELEVANCY_STEPS


def _soft_hinge(relevance: Tensor, difference: Tensor, margin: float, slack: float) -> Tensor:
    epsilon = 1.1 / RELEVANCY_STEPS
    excess = margin * relevance - difference
    return torch.where(
        relevance > epsilon,
        F.relu(excess),
        torch.where(relevance < -epsilon, F.relu(-excess), F.relu(excess.abs() - slack)),
    )


def _off_diagonal(x: Tensor) -> Tensor:
    """The entries (..., N (N - 1)) of matrices (..., N, N) that are not on the diagonal."""
    others = ~torch.eye(x.shape[-1], dtype=torch.bool, device=x.device)
    return x[..., others]
