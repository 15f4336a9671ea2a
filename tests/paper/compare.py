"""Compares resolved configurations with a table of published values.

The table: ``variants: {name: {dotted.name: value}}``, where ``like: other`` takes another entry's
values first; ``defaults`` hold for all; ``deviations: {variant: {dotted.name: reason}}`` are values
that differ from the table on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egolib import config as configs
from egolib.config import flatten, read_yaml


@dataclass(frozen=True)
class Comparison:
    """What of a variant agrees with the table.

    Args:
        compared: number of values.
        wrong: dotted names with (resolved, published), deviations left out.
        stale: deviations that do not deviate.
    """

    compared: int
    wrong: dict[str, tuple[Any, Any]]
    stale: list[str]


def published(table: Mapping[str, Any], variant: str) -> dict[str, Any]:
    """The published values of a variant by dotted name."""
    own = dict(table["variants"][variant] or {})
    base = own.pop("like", None)
    start = published(table, base) if base else dict(table.get("defaults", {}))
    return start | own


def compare(schema: type, task: str, variant: str, table: Mapping[str, Any]) -> Comparison:
    """A variant on ``paper`` beside its published values.

    Args:
        schema: the task's ``Config``.
        task: its name.
        variant: which.
        table: the content of ``tests/paper/<task>.yaml``.
    """
    resolved = flatten(configs.resolve(schema, task, variant, "paper"))
    wanted = published(table, variant)
    unknown = [name for name in wanted if name not in resolved]
    assert not unknown, f"{variant}: the table names unknown fields {unknown}"
    reasons = (table.get("deviations") or {}).get(variant) or {}
    wrong = {
        name: (resolved[name], value)
        for name, value in wanted.items()
        if not _equal(resolved[name], value)
    }
    stale = [name for name in reasons if name not in wrong]
    return Comparison(len(wanted), {k: v for k, v in wrong.items() if k not in reasons}, stale)


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, float) and isinstance(wanted, str):
        wanted = float(wanted)  # YAML reads 1e-3 as text
    if isinstance(found, float) and isinstance(wanted, int | float):
        return abs(found - wanted) <= 1e-9 * max(1.0, abs(wanted))
    return bool(found == wanted)


def read_table(task: str) -> dict[str, Any]:
    """The table of a task."""
    return read_yaml(Path(__file__).parent / f"{task}.yaml")
