"""Recorded arrays by case."""

from __future__ import annotations

from typing import Any


def cases(recorded: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The recorded arrays by case, under their names without it."""
    names = sorted({name.split("/")[0] for name in recorded if "/" in name})
    assert names
    return {
        case: {
            name.removeprefix(f"{case}/"): v
            for name, v in recorded.items()
            if name.startswith(f"{case}/")
        }
        for case in names
    }
