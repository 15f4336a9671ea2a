"""Spreading work: one process or many, the same outcomes in the same order."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from egolib.engine.device import resolve_devices
from egolib.errors import EgolibError
from egolib.runs.shards import balanced_parts, current_shard, map_items


def square_source(device: str):
    return partial(square, device)


def square(device: str, number: int) -> tuple[str, int]:
    if number == 3:
        raise EgolibError("three is refused")
    return device, number**2


def dying_source(folder: str, device: str):
    return partial(dying, Path(folder))


def dying(folder: Path, number: int) -> int:
    """Item 2 dies always, item 5 once."""
    once = folder / "died"
    if number == 2 or (number == 5 and not once.exists()):
        once.touch() if number == 5 else None
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def values(outcomes):
    return [o.result[1] if o.result else str(o.error) for o in outcomes]


def test_nothing_to_do():
    assert map_items([], square_source) == []


def test_one_failure_costs_one_item():
    assert values(map_items(range(5), square_source)) == [0, 1, 4, "three is refused", 16]


@pytest.mark.slow
def test_processes_give_the_same_on_every_device():
    one = map_items(range(8), square_source)
    many = map_items(range(8), square_source, devices=("a", "b"), cost=float)
    assert values(many) == values(one)
    assert {o.result[0] for o in many if o.result} <= {"a", "b"}


@pytest.mark.slow
def test_a_process_that_dies_costs_at_most_its_item(tmp_path):
    source = partial(dying_source, str(tmp_path))
    outcomes = map_items(range(8), source, devices=("cpu", "cpu"))
    failed = [o.item for o in outcomes if o.error]
    assert failed == [2] and "process that computed it died" in str(outcomes[2].error)
    assert [o.result for o in outcomes if not o.error] == [0, 1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_parts_hold_everything_once_and_are_balanced(count):
    costs = [9, 1, 1, 1, 8, 3, 3, 3, 7]
    parts = balanced_parts(range(9), count, lambda n: costs[n])
    assert sorted(item for part in parts for item in part) == list(range(9))
    assert all(part == sorted(part) for part in parts)
    loads = [sum(costs[n] for n in part) for part in parts]
    assert max(loads) - min(loads) <= max(costs)


def test_the_shard_of_a_job(monkeypatch):
    assert current_shard() == (0, 1)
    monkeypatch.setenv("EGOLIB_SHARD", "2/4")
    assert current_shard() == (2, 4)
    monkeypatch.setenv("EGOLIB_SHARD", "4/4")
    with pytest.raises(EgolibError, match="EGOLIB_SHARD is '4/4'"):
        current_shard()


def test_devices_by_name():
    assert [str(d) for d in resolve_devices("cpu")] == ["cpu"]
    with pytest.raises(EgolibError, match="64 GPUs were asked for"):
        resolve_devices("64")
