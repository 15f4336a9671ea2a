"""Contrastive losses of a matrix of similarities.

Legend: N pairs; rows of ``similarity`` are texts, columns videos, pairs on the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from egolib.vlp.losses.similarity import cosine_similarity


def positive_pairs(
    nouns: Tensor | None,
    verbs: Tensor | None,
    count: int | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """(N, N) bool: pairs whose clips share a noun and a verb, and the pairs themselves.

    Lin et al., EgoNCE (arXiv 2206.01670, section 4.1).

    Args:
        nouns: (N, classes) multi-hot noun classes; None leaves the nouns out.
        verbs: the same for verbs. Without either only the pairs themselves are left.
        count: N, where neither is given.
        device: of the result, where neither is given.
    """
    given = [v for v in (nouns, verbs) if v is not None]
    if not given:
        if count is None:
            raise ValueError("without nouns and verbs the number of pairs is needed")
        return torch.eye(count, dtype=torch.bool, device=device)
    shared = torch.stack([cosine_similarity(v, v) for v in given]).prod(0)
    return shared + torch.eye(len(shared), device=shared.device) > 0


def egonce(similarity: Tensor, positives: Tensor, temperature: float = 0.05) -> Tensor:
    """The EgoNCE loss: both directions, summed (arXiv 2206.01670, equation 3).

    Official behaviour: the mask of positives is not transposed for the second
    direction. In pre-training it is symmetric.

    Args:
        similarity: (N, N) float.
        positives: (N, N) bool, with a true diagonal.
        temperature: divides the similarities.
    """
    logits = similarity / temperature
    return _negative_log_share(logits, positives) + _negative_log_share(logits.mT, positives)


def norm_softmax(similarity: Tensor, temperature: float = 0.05) -> Tensor:
    """The symmetric contrastive loss with the pairs alone as positives (N, N)."""
    pairs = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return egonce(similarity, pairs, temperature)


def order_loss(similarity: Tensor, opposites: Tensor, temperature: float = 0.05) -> Tensor:
    """Which of two opposite texts belongs to a clip, and which to the clip backwards.

    Not official. Both clips hold the same frames, so that nothing but their order can
    tell them apart: what else there is to see cancels out of the gradient. Reversed
    clips as negatives are known from Bagad et al., Test of Time (arXiv 2301.02074).

    Args:
        similarity: (N, N) float.
        opposites: (R, 2) int64, rows of a clip and of the same clip backwards.
        temperature: divides the similarities.

    Returns:
        The mean over R; 0 without any.
    """
    a, b = opposites.unbind(1)
    right = similarity[a, a] + similarity[b, b]
    wrong = similarity[a, b] + similarity[b, a]
    losses = F.softplus((wrong - right) / (2 * temperature))
    return losses.sum() / max(len(losses), 1)


def _negative_log_share(logits: Tensor, positives: Tensor) -> Tensor:
    """Mean over rows of minus the logarithm of what softmax gives to the positives."""
    chosen = logits.masked_fill(~positives, -torch.inf)
    return (logits.logsumexp(1) - chosen.logsumexp(1)).mean()
