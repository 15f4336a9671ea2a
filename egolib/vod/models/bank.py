"""Memory bank of rows: random forgetting, random reading, with a generator of its own.

L rows in the bank; D values a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class MemoryBank:
    """Rows of several arrays that belong together (features, their keys, their values).

    The rows lie still in one block of memory; only their order, an index, is shuffled.

    Args:
        size: rows that it holds.
        keys: rows that ``sample`` returns at most.
        generator: CPU generator of all random choices.
        rule: ``official``: a bank that is not yet full takes a whole update, so it may
            exceed ``size``; a full one first keeps a random choice of its rows without
            as many as come in, so an update without rows would empty it. ``strict``
            never exceeds ``size`` and ignores empty updates.

    MAMBA (arXiv 2401.09923), section 3.3.
    """

    def __init__(
        self, size: int, keys: int, generator: torch.Generator, rule: str = "official"
    ) -> None:
        self.size, self.keys, self.generator, self.rule = size, keys, generator, rule
        self._columns: list[Tensor] = []
        self._order = torch.empty(0, dtype=torch.int64)  # places of the rows, oldest first

    def __len__(self) -> int:
        return len(self._order)

    def all(self) -> list[Tensor]:
        """All rows of every array, (L, D) each."""
        return self._read(self._order)

    def sample(self) -> list[Tensor]:
        """All rows in order while there are fewer than ``keys``, else a random choice."""
        if len(self) < self.keys:
            return self.all()
        chosen = torch.randperm(len(self), generator=self.generator)[: self.keys]
        return self._read(self._order[chosen])

    def update(self, *rows: Tensor) -> None:
        """Adds rows: (n, D) tensors, one for each array, always in the same order."""
        count = len(rows[0])
        if self.rule == "strict":
            excess = len(self) + count - self.size
            if count and excess > 0:
                self._order = self._keep(max(len(self) - excess, 0))
                rows = tuple(r[-self.size :] for r in rows)
        elif len(self) >= self.size:
            self._order = self._keep(len(self) - count if count else 0)
        self._append(rows)

    def _keep(self, count: int) -> Tensor:
        """A random choice of the rows."""
        return self._order[torch.randperm(len(self), generator=self.generator)[:count]]

    def _append(self, rows: Sequence[Tensor]) -> None:
        if not self._columns:
            self._columns = [r.new_empty(0, *r.shape[1:]) for r in rows]
        places = self._free_places(len(rows[0]))
        for column, new in zip(self._columns, rows, strict=True):
            column[on_device(places, column.device)] = new.detach().to(column.dtype)
        self._order = torch.cat([self._order, places])

    def _free_places(self, count: int) -> Tensor:
        used, capacity = len(self._order), len(self._columns[0])
        if used + count > capacity:
            grown = max(used + count, min(2 * (used + count), self.size + count))
            self._columns = [
                torch.cat([c, c.new_empty(grown - capacity, *c.shape[1:])]) for c in self._columns
            ]
            capacity = grown
        free = torch.ones(capacity, dtype=torch.bool)
        free[self._order] = False
        return free.nonzero()[:count, 0]

    def _read(self, places: Tensor) -> list[Tensor]:
        if torch.equal(places, torch.arange(len(places))):
            return [column[: len(places)] for column in self._columns]
        if not self._columns:
            return []
        index = on_device(places, self._columns[0].device)
        return [column[index] for column in self._columns]


def on_device(places: Tensor, device: torch.device) -> Tensor:
    """Indices that were made on the host, copied to a GPU without waiting for it."""
    if device.type != "cuda" or places.is_cuda:
        return places.to(device)
    return places.pin_memory().to(device, non_blocking=True)
