"""What runs have been made: their steps, states and first metrics."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from egolib.config import flatten
from egolib.errors import EgolibError, UsageError, nearest
from egolib.io.records import read_json
from egolib.runs.execute import is_running


def steps(runs_dir: Path, name: str | None = None) -> list[dict[str, Any]]:
    """One row for every step that was ever started, sorted by run and step.

    A file that cannot be read makes its step unreadable, and stops nothing.

    Raises:
        UsageError: no run of that name.
    """
    if name is not None:
        require_run(runs_dir, name)
    found = sorted(runs_dir.glob(f"{name or '*'}/**/node.json"))
    return [_row(file.parent, runs_dir) for file in found]


def require_run(runs_dir: Path, name: str) -> None:
    """Raises UsageError, with the nearest name, where there is no run of a name."""
    if not (runs_dir / name).is_dir():
        made = [folder.name for folder in runs_dir.glob("*") if folder.is_dir()]
        remedy = nearest(name, made) if made else f"egolib run all --preset {name}"
        raise UsageError(f"no run {name!r} in {runs_dir}", remedy=remedy)


def _row(out: Path, runs_dir: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"step": str(out.relative_to(runs_dir))}
    try:
        row["state"] = _state(out)
        if (out / "result.json").is_file():
            result = read_json(out / "result.json", dict)
            numbers = flatten(result.get("metrics") or {})
            row["seconds"] = result.get("wall_sec")
            row["commit"] = result.get("commit")
            row["metrics"] = {k: v for k, v in numbers.items() if isinstance(v, int | float)}
    except (EgolibError, OSError) as error:
        row |= {"state": "unreadable", "error": str(error)}
    return row


def _state(out: Path) -> str:
    if is_running(out):
        return "running"
    if (out / "stamp.json").is_file():
        finished = time.localtime((out / "stamp.json").stat().st_mtime)
        return f"finished {time.strftime('%Y-%m-%d %H:%M', finished)}"
    executed = list(out.glob("*.ipynb"))
    if (out / "error.txt").is_file():
        return "failed"
    if executed and _papermill(executed[0]).get("exception"):
        return "failed"
    return "unfinished"


def _papermill(notebook: Path) -> dict[str, Any]:
    """What papermill noted in a notebook."""
    metadata = read_json(notebook, dict).get("metadata")
    noted = metadata.get("papermill") if isinstance(metadata, dict) else None
    return noted if isinstance(noted, dict) else {}


def as_text(rows: list[dict[str, Any]], metrics: int = 3) -> str:
    """The rows for reading."""
    if not rows:
        return "no runs yet; start with: egolib run nlq --preset tiny"
    lines = []
    for row in rows:
        first = list(row.get("metrics", {}).items())[:metrics]
        numbers = ", ".join(f"{k} {v:.4g}" for k, v in first)
        took = f"in {row['seconds']:.0f} s" if row.get("seconds") is not None else ""
        state = f"{row['state']} {took}" if row["state"].startswith("finished") else row["state"]
        lines.append(f"{row['step']:<48} {state:<34} {numbers}".rstrip())
    return "\n".join(lines)
