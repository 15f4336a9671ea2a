"""Which outcomes of a mutation are good: errors, equal results, listed skips, known changes.

``known.yaml`` holds reasons by name, and for every reader the places of its file where a change
gives another meaning without a word, with the kinds of changes under their reason.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.readers import Reader
from tests.fuzz.trial import trials

GOOD = ("error", "same", "listed", "known")
WHOLE = "whole"  #: the place of a change of the bytes, or of the value at the root


@cache
def known() -> dict[str, Any]:
    """``reasons`` by name, and ``readers``: reader -> place -> reason -> kinds."""
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("known.yaml").read_text())
    return found


def reason(reader: str, trial: dict[str, Any]) -> str | None:
    """Name of the reason why a change of meaning cannot be known; None where it is not listed."""
    places = known()["readers"].get(reader, {})
    for name, kinds in places.get(trial["where"] or WHOLE, {}).items():
        if trial["kind"] in kinds:
            return str(name)
    return None


def judged(reader: Reader, count: int) -> list[dict[str, Any]]:
    """The trials of a reader; those of another meaning that is listed are ``known``."""
    found = trials(reader, count)
    for trial in found:
        if trial["outcome"] == "other" and reason(reader.name, trial):
            trial["outcome"] = "known"
    return found
