"""Items made ahead of their consumer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from egolib.video.ahead import ahead


def test_all_items_in_order() -> None:
    assert list(ahead(range(7), depth=3)) == list(range(7))
    assert list(ahead([])) == []


def test_made_before_asked_for_in_another_thread() -> None:
    made: list[tuple[int, str]] = []

    def items() -> Iterator[int]:
        for number in range(5):
            made.append((number, threading.current_thread().name))
            yield number

    source = ahead(items(), depth=2)
    assert next(source) == 0
    for _ in range(200):
        if len(made) == 3:
            break
        time.sleep(0.01)
    assert [number for number, _ in made] == [0, 1, 2]
    assert all(name.startswith("ahead") for _, name in made)
    source.close()


def test_what_fails_there_is_raised_here() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    source = ahead(items())
    assert next(source) == 1
    with pytest.raises(ValueError, match="broken"):
        next(source)
