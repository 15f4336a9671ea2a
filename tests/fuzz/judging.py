"""Which outcomes of a mutation are good: errors, equal results, listed skips, known changes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.readers import Reader
from tests.fuzz.trial import trials

GOOD = ("error", "same", "listed", "known")


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
