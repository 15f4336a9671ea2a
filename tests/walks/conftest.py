"""Walks take a minute each: of every walk the first two cases, all with ``EGOLIB_WALKS=all``."""

from __future__ import annotations

import os
from collections import Counter

import pytest

ALWAYS = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("EGOLIB_WALKS") == "all":
        return
    seen: Counter[str] = Counter()
    for item in items:
        if "/walks/" not in item.path.as_posix():
            continue
        walk = f"{item.path}::{getattr(item, 'originalname', item.name)}"
        seen[walk] += 1
        if seen[walk] > ALWAYS:
            item.add_marker(pytest.mark.skip(reason="a further case of a walk: `make walks`"))
