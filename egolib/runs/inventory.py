"""What runs have been made: their steps, states and first metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from egolib.config import flatten
from egolib.io.records import read_json


def steps(runs_dir: Path, name: str | None = None) -> list[dict[str, Any]]:
    """One row for every step that was ever started, sorted by run and step."""
    rows = []
    for file in sorted(runs_dir.glob(f"{name or '*'}/**/node.json")):
        out = file.parent
        row: dict[str, Any] = {"step": str(out.relative_to(runs_dir)), "state": _state(out)}
        if (out / "result.json").is_file():
            result = read_json(out / "result.json", dict)
            numbers = flatten(result["metrics"])
            row["seconds"] = result.get("wall_sec")
            row["commit"] = result.get("commit")
            row["metrics"] = {k: v for k, v in numbers.items() if isinstance(v, int | float)}
        rows.append(row)
    return rows


def _state(out: Path) -> str:
    if (out / "stamp.json").is_file():
        finished = time.localtime((out / "stamp.json").stat().st_mtime)
        return f"finished {time.strftime('%Y-%m-%d %H:%M', finished)}"
    executed = list(out.glob("*.ipynb"))
    if executed and read_json(executed[0], dict)["metadata"].get("papermill", {}).get("exception"):
        return "failed"
    return "unfinished"


def as_text(rows: list[dict[str, Any]], metrics: int = 3) -> str:
    """The rows for reading."""
    if not rows:
        return "no runs yet; start with: egolib run nlq --preset tiny"
    lines = []
    for row in rows:
        first = list(row.get("metrics", {}).items())[:metrics]
        numbers = ", ".join(f"{k} {v:.4g}" for k, v in first)
        lines.append(f"{row['step']:<48} {row['state']:<26} {numbers}".rstrip())
    return "\n".join(lines)
