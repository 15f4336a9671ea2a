"""Training batches whose content depends on the seed and the update alone.

Every sample gets a generator of its own, made from (seed, epoch, place in the
epoch). So neither the number of loader processes, nor the number of training
processes, nor an interruption changes what an update sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from egolib.engine.config import FitConfig, batch_plan, updates_per_epoch
from egolib.errors import EgolibError

Place = tuple[int, int, int]  # epoch, place in the epoch's order, index of the sample


@runtime_checkable
class TrainingData(Protocol):
    """What a task trains on."""

    def __len__(self) -> int: ...

    def sample(self, index: int, rng: np.random.Generator) -> Any:
        """One item; every random choice comes from ``rng``."""
        ...

    def collate(self, items: list[Any]) -> Any:
        """A batch of items."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """Training data that decides its own order (groups, weights, repetition)."""

    def order(self, epoch: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of one epoch, always equally many."""
        ...


def epoch_order(data: TrainingData, epoch: int, seed: int) -> np.ndarray:
    """The order of samples in one epoch: a permutation, or what the data asks for.

    Args:
        data: training data; an ``Ordered`` one decides itself.
        epoch: from 0.
        seed: of the permutation.
    """
    rng = np.random.default_rng([seed, epoch])
    return data.order(epoch, rng) if isinstance(data, Ordered) else rng.permutation(len(data))


class UpdateSampler(Sampler[list[Place]]):
    """The micro-batches of one process, from one update to the end of its epoch.

    An update takes ``batch_size`` consecutive places of the order, whatever the number
    of processes; micro-batch ``a`` of process ``r`` takes its part of them.
    """

    def __init__(
        self,
        data: TrainingData,
        settings: FitConfig,
        *,
        epoch: int,
        first_update: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ):
        self.order = epoch_order(data, epoch, seed)
        self.settings, self.epoch, self.first = settings, epoch, first_update
        self.rank, self.plan = rank, batch_plan(settings, world)
        self.updates = updates_per_epoch(len(self.order), settings)

    def __len__(self) -> int:
        return (self.updates - self.first) * self.plan.accumulate

    def __iter__(self) -> Iterator[list[Place]]:
        size, accumulate = self.plan.micro_size, self.plan.accumulate
        for update in range(self.first, self.updates):
            for micro in range(accumulate):
                start = ((update * accumulate + micro) * self.plan.processes + self.rank) * size
                yield self._places(start, start + size)

    def _places(self, start: int, stop: int) -> list[Place]:
        count = len(self.order)
        if self.plan.micro_size == self.plan.global_size and start < count:
            stop = min(stop, count)  # the incomplete last batch
        return [(self.epoch, place, int(self.order[place % count])) for place in range(start, stop)]


class _Seeded(Dataset[Any]):
    """Samples by place, each with its own generator."""

    def __init__(self, data: TrainingData, seed: int):
        self.data, self.seed = data, seed

    def __getitem__(self, place: Place) -> Any:
        epoch, position, index = place
        return self.data.sample(index, np.random.default_rng([self.seed, epoch, position]))


def loader(
    data: TrainingData, sampler: UpdateSampler, *, seed: int, workers: int, pin: bool
) -> DataLoader[Any]:
    """A torch loader over a sampler's micro-batches.

    Args:
        data: samples by number.
        sampler: gives the numbers of every micro-batch.
        seed: of the workers' generators.
        workers: processes that load; 0 for none.
        pin: whether batches lie in pinned memory.

    Raises:
        EgolibError: there is no training data.
    """
    if len(data) == 0:
        raise EgolibError("the training data is empty", remedy="look at what 1_data skipped")
    return DataLoader(
        _Seeded(data, seed),
        batch_sampler=sampler,
        collate_fn=data.collate,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=False,
        generator=torch.Generator(),  # keeps the loader off the global generator
        worker_init_fn=_one_thread if workers else None,
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
