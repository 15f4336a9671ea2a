"""Items made ahead: in order, no further than asked for, errors in their turn."""

from __future__ import annotations

import threading

import pytest

from egolib.engine.prefetch import prefetched


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_items_come_in_order_and_not_too_early(ahead: int):
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return 2 * item

    for n, value in enumerate(prefetched(make, range(6), ahead=ahead)):
        assert value == 2 * n and len(made) <= n + 1 + ahead
    assert made == list(range(6))


def test_an_error_is_raised_in_its_turn():
    def make(item: int) -> int:
        return 1 // (2 - item)

    found = prefetched(make, range(6))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_thread_makes_them_and_ends_when_nobody_asks_any_more():
    names: list[str] = []

    def make(item: int) -> int:
        names.append(threading.current_thread().name)
        return item

    found = prefetched(make, range(100), ahead=2)
    assert next(found) == 0
    found.close()
    assert all(name.startswith("prefetch") for name in names) and len(names) <= 4
    assert not any(t.name.startswith("prefetch") for t in threading.enumerate())
