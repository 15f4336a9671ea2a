"""The page of faults names tests that exist."""

from __future__ import annotations

import re

from egolib.config import project_root


def test_every_fault_is_shown_by_tests_that_exist():
    lines = (project_root() / "book" / "faults.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) >= 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[2])
        assert named, row[0]
        for file, name in named:
            assert f"def {name}(" in (project_root() / file).read_text(), f"{file}::{name}"
