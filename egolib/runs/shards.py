"""One way to spread work: items over the devices of this node, and over the jobs of an array.

Videos, clips or queries are computed each by itself; whoever asks merges them in official order.
What an item needs to be skipped when it is done already (``ResultCache``) is the worker's own.

A job of an array computes its part of a step's items into the step's cache (``own_part``) and
stops before the step would write what it is for (``end_of_part``). The step itself runs after
the array: it finds what the jobs left, and computes what one of them did not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, TypeVar

from egolib.errors import EgolibError
from egolib.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

Worker = Callable[[Item], Result]
"""Computes one item; EgolibError is a failure of that item alone."""

WorkerSource = Callable[[str], Worker[Item, Result]]
"""Makes the worker on a device (``cpu``, ``cuda:0``); picklable, as functions of modules are."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of an item: its result, or the error that it failed with."""

    item: Item
    result: Result | None = None
    error: EgolibError | None = None


# ------------------------------------------------------------------------- one node


def map_items(
    items: Sequence[Item],
    source: WorkerSource[Item, Result],
    *,
    devices: Sequence[str] = ("cpu",),
    per_device: int = 1,
    cost: Callable[[Item], float] | None = None,
    what: str = "work",
    unit: str = "item",
) -> list[Outcome[Item, Result]]:
    """Computes all items and returns their outcomes in the order of the items.

    The costly ones come first, and every process takes the next one when it is free, so that
    all end together. A process that dies fails the item that it was computing, when it dies
    on it again.

    Args:
        items: hashable or not; each is sent to a process as it is.
        source: makes the worker, once in every process.
        devices: what to compute on; one device and process computes here.
        per_device: processes on each device.
        cost: a number that grows with the time that an item takes; None where all are alike.
        what: for the progress shown.
        unit: of the progress shown.
    """
    order = sorted(range(len(items)), key=lambda n: -cost(items[n])) if cost else range(len(items))
    numbered = [(n, items[n]) for n in order]
    count = min(per_device * len(devices), len(items))
    if count <= 1:
        found = _here(numbered, source, devices[0])
    else:
        found = _in_processes(numbered, source, [*devices] * per_device, count)
    outcomes: list[Outcome[Item, Result] | None] = [None] * len(items)
    for number, outcome in track(found, what, total=len(items), unit=unit):
        outcomes[number] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


Numbered = tuple[int, Any]


def _here(
    items: Sequence[Numbered], source: WorkerSource[Any, Any], device: str
) -> Iterator[tuple[int, Outcome[Any, Any]]]:
    worker = source(device) if items else None
    for number, item in items:
        yield number, _outcome(worker, item)  # type: ignore[arg-type]


def _outcome(worker: Worker[Any, Any], item: Any) -> Outcome[Any, Any]:
    try:
        return Outcome(item, worker(item))
    except EgolibError as error:
        return Outcome(item, error=error)


def _in_processes(
    items: Sequence[Numbered], source: WorkerSource[Any, Any], devices: list[str], count: int
) -> Iterator[tuple[int, Outcome[Any, Any]]]:
    """All items in processes; what was under way when one died is tried again, alone."""
    left: dict[int, Any] = dict(items)
    while left:
        for number, outcome in _pooled(list(left.items()), source, devices, count):
            del left[number]
            yield number, outcome
        for number in list(left)[:count]:  # these were under way
            yield number, _alone(left.pop(number), source, devices[0])


def _alone(item: Any, source: WorkerSource[Any, Any], device: str) -> Outcome[Any, Any]:
    """An item in a process of its own, twice at most."""
    for _ in range(2):
        for _number, outcome in _pooled([(0, item)], source, [device], 1):
            return outcome
    remedy = "memory may have run out: try fewer processes"
    return Outcome(item, error=EgolibError("the process that computed it died", remedy=remedy))


def _pooled(
    items: Sequence[Numbered], source: WorkerSource[Any, Any], devices: list[str], count: int
) -> Iterator[tuple[int, Outcome[Any, Any]]]:
    """Outcomes as they come; ends early when a process dies."""
    context = get_context("spawn")
    places = context.Queue()
    for number in range(count):
        places.put(devices[number % len(devices)])
    with ProcessPoolExecutor(count, context, _begin, (source, places)) as pool:
        futures: dict[Future[Outcome[Any, Any]], int] = {}
        try:
            for number, item in items:
                futures[pool.submit(_work, item)] = number
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            return


_worker: list[Worker[Any, Any]] = []


def _begin(source: WorkerSource[Any, Any], places: Any) -> None:
    """The first thing that a process does: its device, its worker, one thread."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    _worker.append(source(places.get()))


def _work(item: Any) -> Outcome[Any, Any]:
    return _outcome(_worker[0], item)


# ------------------------------------------------------------------ jobs of an array

DIVIDED = {"3_infer": "infer"}
"""Steps whose items jobs of an array may compute; the module whose ``predict`` does."""


def current_shard() -> tuple[int, int]:
    """Which part of the work this job computes: its number from 0, and how many there are.

    ``EGOLIB_SHARD=1/4`` is the second of four; (0, 1) without it.

    Raises:
        EgolibError: the variable says something else.
    """
    text = os.environ.get("EGOLIB_SHARD", "0/1")
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise EgolibError(f"EGOLIB_SHARD is {text!r}", remedy="<number from 0>/<count>")
    return int(number), int(count)


class PartDone(Exception):
    """A job of an array has computed its part of a step."""


def is_part() -> bool:
    """Whether this job computes a part of a step, and not the step."""
    return current_shard()[1] > 1


def own_part(items: Sequence[Item], cost: Callable[[Item], float] = lambda item: 1.0) -> list[Item]:
    """What this job computes of a step's items: all of them where it is not one of an array.

    Args:
        items: the same in every job, and in the same order.
        cost: see ``balanced_parts``.
    """
    number, count = current_shard()
    return list(items) if count == 1 else balanced_parts(items, count, cost)[number]


def end_of_part() -> None:
    """Where a step has computed its items, and has yet to write what it is for.

    Raises:
        PartDone: this job computes only a part.
    """
    if is_part():
        raise PartDone


def balanced_parts(
    items: Sequence[Item], count: int, cost: Callable[[Item], float] = lambda item: 1.0
) -> list[list[Item]]:
    """Items in ``count`` parts of about equal cost, each in the given order.

    Args:
        items: what to divide.
        count: how many parts.
        cost: of an item; the costliest is given first, always to the cheapest part so far.
    """
    load = [0.0] * count
    part_of = [0] * len(items)
    for number in sorted(range(len(items)), key=lambda n: (-cost(items[n]), n)):
        part = load.index(min(load))
        part_of[number] = part
        load[part] += cost(items[number])
    return [
        [item for item, own in zip(items, part_of, strict=True) if own == p] for p in range(count)
    ]
