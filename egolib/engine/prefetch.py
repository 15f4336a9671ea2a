"""Items made by a thread while others are used, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetched(
    make: Callable[[Item], Made], items: Iterable[Item], *, ahead: int = 2
) -> Iterator[Made]:
    """What is made of every item, in order, up to ``ahead`` of them before they are asked for.

    One thread makes one after the other, so that ``make`` may read a file from its start to its
    end; an error is raised where the item's turn would have been.

    Args:
        make: called in the thread.
        items: taken as they are needed.
        ahead: 0 makes each item when it is asked for, without a thread.
    """
    if not ahead:
        yield from map(make, items)
        return
    left = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        waiting: deque[Future[Made]] = deque(
            thread.submit(make, item) for item in islice(left, ahead)
        )
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(thread.submit(make, item) for item in islice(left, 1))
                yield done
        finally:
            for future in waiting:
                future.cancel()
