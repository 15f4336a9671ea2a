"""The table of a grid: one row a point, its values and the metrics of its last step."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from egolib.config import TASKS, flatten, main_metrics
from egolib.io.records import atomic_path, read_json
from egolib.runs.plan import GridPoint

if TYPE_CHECKING:
    import pandas as pd

MOST, FEW = 6, 3  # metrics in a table for reading: chosen ones, and without a choice


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
    """Writes all metrics as CSV into the base run's folder; returns a compact table as text.

    The text has the task's main metrics (``metrics`` of its ``chain.yaml``), above them their
    mean and spread over seeds, and last the path of the file.
    """
    found = table(points)
    out = points[0].nodes[-1].out
    folder = next((p for p in out.parents if "@" in p.name), out)
    base = folder.name.partition("@")[0]
    keys = "+".join(points[0].values)
    path: Path = folder.parent / base / f"grid_{found['step'][0].replace('/', '_')}_{keys}.csv"
    with atomic_path(path) as temporary:
        found.to_csv(temporary, index=False)
    names = main_columns(found, points)
    compact = found[[*points[0].values, "step", *names]].round(4)
    return "\n".join([*over_seeds(found, names, points), compact.to_string(index=False), str(path)])


def main_columns(found: pd.DataFrame, points: Sequence[GridPoint]) -> list[str]:
    """The metrics that a table for reading has: the task's main ones, else the first three."""
    metrics = [str(name) for name in found.columns if name not in (*points[0].values, "step")]
    task = str(found["step"][0]).partition("/")[0]
    chosen = main_metrics(task) if task in TASKS else []
    main = [name for pattern in chosen for name in metrics if fnmatchcase(name, pattern)]
    return list(dict.fromkeys(main))[:MOST] or metrics[:FEW]


def over_seeds(found: pd.DataFrame, names: Sequence[str], points: Sequence[GridPoint]) -> list[str]:
    """Mean and sample standard deviation over seeds, a line for each setting of the rest.

    Args:
        found: the table of all points.
        names: metrics to tell.
        points: of the grid.
    """
    if "seed" not in points[0].values:
        return []
    others = [name for name in points[0].values if name != "seed"]
    groups = found.groupby(others, sort=False) if others else [((), found)]
    lines = []
    for values, rows in groups:
        setting = ", ".join(f"{k}={v}" for k, v in zip(others, values, strict=True))
        spread = [f"{n} {rows[n].mean():.4g} ± {rows[n].std():.2g}" for n in names]
        lines.append(f"mean over {len(rows)} seeds {setting}".rstrip() + ": " + ", ".join(spread))
    return lines
