"""Numbers that computations need as tensors, kept on the device that they are needed on.

Making a tensor of Python numbers on a GPU copies from the host, which then waits; and a CUDA
graph cannot contain it.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def constant(values: tuple[float, ...], like: Tensor) -> Tensor:
    """Numbers as a tensor (V,) with another tensor's dtype and device; not to be changed.

    Args:
        values: V numbers.
        like: names dtype and device.

    >>> constant((1.0, 2.0), torch.zeros(3))
    tensor([1., 2.])
    """
    return _kept(tuple(values), like.dtype, like.device)


@lru_cache(maxsize=256)
def _kept(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
