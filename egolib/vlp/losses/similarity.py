"""Cosine similarity as all losses and metrics use it.

Legend: N, M rows, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cosine_similarity(a: Tensor, b: Tensor, epsilon: float = 1e-8) -> Tensor:
    """(N, M) cosines between the rows of a (N, D) and b (M, D); zero rows give 0.

    Computed in 32 bits or more, also in mixed precision: a temperature of 0.05 would
    make errors of 16 bits twenty times larger.

    Args:
        a: (N, D) float.
        b: (M, D) float.
        epsilon: smallest norm that a row is divided by.
    """
    with torch.autocast(a.device.type, enabled=False):
        return _unit(a, epsilon) @ _unit(b, epsilon).mT


def _unit(x: Tensor, epsilon: float) -> Tensor:
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return x / x.norm(dim=-1, keepdim=True).clamp_min(epsilon)  # type: ignore[no-any-return]
