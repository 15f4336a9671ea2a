"""All results on one page: tables and figures from ``result.json`` files and the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib import config as configs
from egolib.report import evidence
from egolib.report.results import read_result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VERDICT_COLORS = {
    "held": "#0072B2",
    "not held": "#D55E00",
    "above, one seed": "#999999",
    "below, one seed": "#999999",
    "open": "#999999",
}


def results_table(runs: str | Path) -> pd.DataFrame:
    """One row a step of a run that wrote metrics: its numbers and what they rest on.

    Args:
        runs: the folder of one run, ``runs/<name>``.
    """
    import pandas as pd

    rows = []
    for file in sorted(Path(runs).glob("*/*/4_evaluate/result.json")):
        result = read_result(file)
        numbers = configs.flatten(result["metrics"])
        about = {k: result.get(k) for k in ("task", "variant", "preset", "seed", "commit")}
        rows += [
            {**about, "metric": name, "value": value}
            for name, value in numbers.items()
            if isinstance(value, int | float)
        ]
    return pd.DataFrame(rows, columns=[*_ABOUT, "metric", "value"])


_ABOUT = ("task", "variant", "preset", "seed", "commit")


def steps_table(runs: str | Path) -> pd.DataFrame:
    """One row a step: how long it took, on what, from which commit."""
    import pandas as pd

    rows = []
    for file in sorted(Path(runs).glob("**/result.json")):
        result = read_result(file)
        step = str(file.parent.relative_to(runs))
        hardware = result["hardware"].get("gpu") or f"{result['hardware']['cores']} CPU cores"
        rows.append([step, result["wall_sec"], hardware, result["commit"]])
    return pd.DataFrame(rows, columns=["step", "seconds", "hardware", "commit"])


def published_table(task: str) -> pd.DataFrame:
    """The published numbers of a task's variants, as their files quote them."""
    import pandas as pd

    rows = []
    for name in configs.variants(task):
        about = configs.read_variant(task, name).about
        numbers = configs.flatten(about.get("published") or {})
        command = f"egolib run {task} --variant {name} --preset paper"
        rows += [
            [name, metric, value, about.get("source", ""), command]
            for metric, value in numbers.items()
        ]
    return pd.DataFrame(rows, columns=["variant", "metric", "published", "source", "command"])


def claims_table() -> pd.DataFrame:
    """Every claim with its computed verdict, what was expected, and what was tried."""
    import pandas as pd

    rows = []
    for task in configs.TASKS:
        for claim in evidence.read_evidence(task)["claims"]:
            tried = "; ".join(f"{t['why']}: {t['verdict']}" for t in claim["tried"])
            mean, error = claim["mean"], claim["standard_error"]
            spread = "" if error is None else f" ± {error:.4f}"
            difference = "" if mean is None else f"{mean:+.4f}{spread}"
            kind = "expected" if claim["expected"] else "reported"
            row = [task, claim["name"], kind, claim["metric"], difference, claim["verdict"], tried]
            rows.append(row)
    columns = ["task", "claim", "kind", "metric", "difference", "verdict", "tried"]
    return pd.DataFrame(rows, columns=columns)


def claims_figure() -> Figure:
    """Differences of all claims by seed, with twice their standard error."""
    import matplotlib.pyplot as plt

    claims = [c for t in configs.TASKS for c in _labelled(t) if c["mean"] is not None]
    figure, axes = plt.subplots(figsize=(8, 0.6 + 0.42 * max(len(claims), 1)))
    for row, claim in enumerate(reversed(claims)):
        color = VERDICT_COLORS[claim["verdict"]]
        spread = 2 * (claim["standard_error"] or 0)
        axes.errorbar(claim["mean"], row, xerr=spread, fmt="o", color=color, capsize=3)
        axes.plot(claim["differences"], [row] * len(claim["differences"]), "|", color=color)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(claims)), [c["label"] for c in reversed(claims)])
    axes.set_xlabel("difference, mean over seeds ± 2 standard errors (ticks: single seeds)")
    for verdict in ("held", "not held"):
        axes.plot([], [], "o", color=VERDICT_COLORS[verdict], label=verdict)
    axes.legend(loc="lower right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _labelled(task: str) -> list[dict[str, Any]]:
    found = evidence.read_evidence(task)["claims"]
    return [{**claim, "label": f"{task}: {claim['name']}"} for claim in found]
