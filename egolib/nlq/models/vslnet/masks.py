"""Masks as VSLNet applies them: a large negative number is added to what does not count."""

from __future__ import annotations

from torch import Tensor

BLOCKED = -1e30  # not infinite: where nothing counts, a softmax is uniform and not NaN


def blocked(scores: Tensor, mask: Tensor) -> Tensor:
    """Scores (...) with -1e30 added where the mask (broadcast, bool) is false."""
    return scores + ~mask * BLOCKED
