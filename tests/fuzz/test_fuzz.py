"""Whatever a foreign file holds: an error that names it, the same result, or a listed skip.

A result that differs without a word is another meaning of the file: each kind of these stands
in ``known.yaml`` with the reason why nobody can know that it was not meant.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fuzz.readers import READERS, Reader
from tests.fuzz.trial import LATEST_SEC, trials

COUNT = int(os.environ.get("EGOLIB_FUZZ", "50"))
GOOD = {"error", "same", "listed", "known"}


@cache
def known() -> list[dict[str, Any]]:
    """The kinds of changes that no reader can notice."""
    entries: list[dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_name("known.yaml").read_text()
    )
    return entries


def reason(reader: Reader, trial: dict[str, Any]) -> str | None:
    """Why a change of meaning cannot be known; None where it is not listed."""
    for entry in known():
        where = entry.get("where", ["*"])
        if (
            any(fnmatchcase(reader.name, name) for name in entry["readers"])
            and any(fnmatchcase(trial["kind"], kind) for kind in entry["kinds"])
            and any(fnmatchcase(trial["where"], place) for place in where)
        ):
            return str(entry["why"])
    return None


def judged(reader: Reader, count: int) -> list[dict[str, Any]]:
    """The trials of a reader; those of another meaning that is listed are ``known``."""
    found = trials(reader, count)
    for trial in found:
        if trial["outcome"] == "other" and reason(reader, trial):
            trial["outcome"] = "known"
    return found


@pytest.mark.parametrize("name", READERS)
def test_no_file_is_misunderstood_in_silence(name: str) -> None:
    found = judged(READERS[name], COUNT)
    bad = [trial for trial in found if trial["outcome"] not in GOOD]
    assert len(found) == COUNT
    assert not bad
    assert max(trial["seconds"] for trial in found) < LATEST_SEC
