"""A number of the device on its way to the host."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCopy:
    """A scalar that is read later, without waiting for what the device was given since.

    Args:
        value: a scalar on any device, which may change afterwards.
    """

    def __init__(self, value: Tensor):
        self._ready: torch.cuda.Event | None = None
        value = value.detach()
        if value.is_cuda:
            self._value = torch.empty((), dtype=value.dtype, pin_memory=True)
            self._value.copy_(value, non_blocking=True)
            self._ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._ready.record()
        else:
            self._value = value.clone()

    def get(self) -> float:
        """The number, once it is there."""
        if self._ready is not None:
            self._ready.synchronize()
        return float(self._value)
