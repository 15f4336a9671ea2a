"""The table of a grid: one row a point, its values and the metrics of its last step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from egolib.config import flatten
from egolib.io.records import atomic_path, read_json
from egolib.runs.plan import GridPoint

if TYPE_CHECKING:
    import pandas as pd


def table(points: Sequence[GridPoint]) -> pd.DataFrame:
    """Values, last step and its numeric metrics; points without a result have none."""
    import pandas as pd

    rows = []
    for point in points:
        last = point.nodes[-1]
        file = last.out / "result.json"
        metrics = flatten(read_json(file, dict)["metrics"]) if file.is_file() else {}
        numbers = {k: v for k, v in metrics.items() if isinstance(v, int | float)}
        rows.append({**point.values, "step": last.key, **numbers})
    return pd.DataFrame(rows)


def write_table(points: Sequence[GridPoint]) -> str:
    """Writes ``grid.csv`` into the base run's folder; returns the table as text."""
    found = table(points)
    out = points[0].nodes[-1].out
    folder = next((p for p in out.parents if "@" in p.name), out)
    base = folder.name.partition("@")[0]
    keys = "+".join(points[0].values)
    path: Path = folder.parent / base / f"grid_{found['step'][0].replace('/', '_')}_{keys}.csv"
    with atomic_path(path) as temporary:
        found.to_csv(temporary, index=False)
    return f"{found.to_string(index=False)}\n{path}"
