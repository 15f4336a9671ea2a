"""All results on one page: tables and figures from ``result.json`` files and the evidence.

Every number here is in percent or points of percent, so that columns and axes have one unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egolib import config as configs
from egolib.report import evidence
from egolib.report.banner import about_task, hardware, variant_name
from egolib.report.outputs import Html, fold, html_table
from egolib.report.results import read_result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

VERDICT_COLORS = {
    "held": "#0072B2",
    "not held": "#D55E00",
    "undecided": "#E69F00",
    "above, one seed": "#999999",
    "below, one seed": "#999999",
    "open": "#999999",
}
CLAIM_COLUMNS = (
    "claim",
    "verdict",
    "difference",
    "interval",
    "with it",
    "without it",
    "seeds",
)


# ------------------------------------------------------------------------ this run


def main_metrics(task: str) -> dict[str, str]:
    """The three to five metrics that a task is judged by: dotted name to label with unit."""
    return {str(k): str(v) for k, v in (about_task(task).get("metrics") or {}).items()}


def percent(task: str, metric: str, value: float) -> float:
    """A metric in percent: what ``book.fractions`` of the task names is stored as a fraction.

    Args:
        task: its name.
        metric: dotted name.
        value: as stored.
    """
    fractions = about_task(task).get("fractions") or []
    is_percent = metric.endswith("%") or not any(part in metric for part in fractions)
    return value if is_percent else 100 * value


def headline(task: str, result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The main numbers of an evaluation: labels and values in percent.

    Args:
        task: its name.
        result: the evaluation's ``result.json``.
    """
    numbers = configs.flatten(result["metrics"])
    return [
        (label, f"{percent(task, name, numbers[name]):.1f}")
        for name, label in main_metrics(task).items()
        if isinstance(numbers.get(name), int | float)
    ]


def task_table(runs: str | Path, task: str) -> Html:
    """One row a variant of a run, one column a main metric; a dash where it has none.

    Args:
        runs: the folder of one run, ``runs/<name>``.
        task: its name.
    """
    labels = list(main_metrics(task).values())
    rows = []
    for file in sorted(Path(runs).glob(f"{task}/*/4_evaluate/result.json")):
        found = dict(headline(task, read_result(file)))
        name = variant_name(task, file.parents[1].name)
        rows.append([name, *(found.get(label, "–") for label in labels)])
    used = [n for n in range(len(labels)) if any(row[n + 1] != "–" for row in rows)]
    table = [[row[0], *(row[n + 1] for n in used)] for row in rows]
    return Html(html_table(("variant", *(labels[n] for n in used)), table))


def results_table(runs: str | Path) -> pd.DataFrame:
    """One row a metric of a run's evaluations: its number and what it rests on.

    Args:
        runs: the folder of one run, ``runs/<name>``.
    """
    import pandas as pd

    rows = []
    for file in sorted(Path(runs).glob("*/*/4_evaluate/result.json")):
        result = read_result(file)
        numbers = configs.flatten(result["metrics"])
        about = {k: result.get(k) for k in _ABOUT}
        rows += [
            {**about, "metric": name, "value": value}
            for name, value in numbers.items()
            if isinstance(value, int | float)
        ]
    return pd.DataFrame(rows, columns=[*_ABOUT, "metric", "value"])


_ABOUT = ("task", "variant", "preset", "seed", "commit")


def all_numbers(runs: str | Path) -> Html:
    """Every number of a run's evaluations, folded by task and variant.

    Args:
        runs: the folder of one run, ``runs/<name>``.
    """
    parts = []
    for (task, variant), own in results_table(runs).groupby(["task", "variant"]):
        pairs = zip(own["metric"], own["value"], strict=True)
        table = html_table(("metric", "value as stored"), [(m, f"{v:.4g}") for m, v in pairs])
        parts.append(fold(table, f"{task}, {variant_name(task, variant)}: {len(own)} numbers"))
    return Html("".join(parts))


def steps_table(runs: str | Path) -> Html:
    """One row a step: how long it took, on what, from which commit; folded.

    Args:
        runs: the folder of one run, ``runs/<name>``.
    """
    rows, seconds = [], 0.0
    for file in sorted(Path(runs).glob("**/result.json")):
        result = read_result(file)
        step = str(file.parent.relative_to(runs))
        seconds += result["wall_sec"]
        about = [f"{result['wall_sec']:.0f}", hardware(result), result["commit"]]
        rows.append([step, *about])
    table = html_table(("step", "seconds", "hardware", "commit"), rows)
    return Html(fold(table, f"{len(rows)} steps, {seconds / 60:.0f} minutes in all"))


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


def published(task: str) -> Html:
    """One row a variant that something was published of, folded."""
    rows = []
    for name in configs.variants(task):
        about = configs.read_variant(task, name).about
        numbers = configs.flatten(about.get("published") or {})
        if numbers:
            text = ", ".join(f"{metric} {value:g}" for metric, value in numbers.items())
            rows.append([name, text, str(about.get("source", ""))])
    table = html_table(("variant", "published", "source"), rows)
    return Html(fold(table, f"{task}: {len(rows)} published configurations"))


# -------------------------------------------------------------------------- claims


def claims_of(task: str) -> list[dict[str, Any]]:
    """The judged claims of a task, with values in percent."""
    return [_in_percent(task, claim, claim["metric"]) for claim in evidence.current_claims(task)]


def _in_percent(task: str, claim: Mapping[str, Any], metric: str) -> dict[str, Any]:
    scale = percent(task, metric, 1.0)
    found = dict(claim)
    for name in ("mean", "standard_error"):
        if found[name] is not None:
            found[name] = scale * found[name]
    for name in ("differences", "means", "deviations", "interval"):
        if found[name] is not None:
            found[name] = [None if v is None else scale * v for v in found[name]]
    if "tried" in found:
        found["tried"] = [_in_percent(task, tried, metric) for tried in found["tried"]]
    return found


def comparisons(tasks: Sequence[str] = configs.TASKS) -> int:
    """How many comparisons were judged over seeds, those that were tried besides included."""
    claims = [claim for task in tasks for claim in evidence.current_claims(task)]
    judged = [pair for claim in claims for pair in (claim, *claim["tried"])]
    return sum(pair["interval"] is not None for pair in judged)


def verdict_counts(tasks: Sequence[str] = configs.TASKS) -> dict[str, int]:
    """How many claims have each verdict."""
    found: dict[str, int] = {}
    for task in tasks:
        for claim in evidence.current_claims(task):
            found[claim["verdict"]] = found.get(claim["verdict"], 0) + 1
    return found


def claims_table(task: str) -> Html:
    """The claims of a task: verdict, difference, its interval, both means and their spread."""
    rows = []
    for claim in claims_of(task):
        rows.append(_claim_row(f"{claim['name']} [{claim['metric']}]", claim))
        rows += [_claim_row(f"… tried besides: {t['why']}", t) for t in claim["tried"]]
    if not rows:
        return Html("<p>No claims are recorded.</p>")
    return Html(html_table(CLAIM_COLUMNS, rows, kind="claims"))


def _claim_row(name: str, pair: Mapping[str, Any]) -> list[str]:
    interval = pair["interval"]
    return [
        name,
        pair["verdict"],
        "–" if pair["mean"] is None else f"{pair['mean']:+.2f}",
        "–" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
        _spread(pair, 0),
        _spread(pair, 1),
        str(len(pair["differences"])),
    ]


def _spread(pair: Mapping[str, Any], side: int) -> str:
    mean, deviation = pair["means"][side], pair["deviations"][side]
    if mean is None:
        return "–"
    is_number = side == 1 and not isinstance(pair["worse"], str)
    alone = deviation is None or is_number
    return f"{mean:.1f}" if alone else f"{mean:.1f} ± {deviation:.1f}"


def recorded(task: str) -> str:
    """When, where and on which commits the cells of a task's claims were recorded, in words."""
    found = evidence.read_evidence(task)
    cells = found["cells"]
    if not cells:
        return f"{task}: nothing was recorded yet; `python -m benchmarks.claims {task}` records it."
    dates = sorted({str(cell.get("date", "")) for cell in cells} - {""})
    commits = sorted({str(cell["commit"]) for cell in cells})
    places = sorted({hardware(cell) for cell in cells})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}" if dates else "undated"
    dirty = sum(bool(cell.get("dirty")) for cell in cells)
    return (
        f"{task}: {len(cells)} trainings, recorded {when} on {', '.join(places)}, preset "
        f"`{found['preset']}`, commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"
        + (f" ({dirty} of them with changes that were not committed)" if dirty else "")
        + f". `python -m benchmarks.claims {task}` repeats them."
    )


def claims_figure(tasks: Sequence[str] = configs.TASKS) -> Figure:
    """Differences of claims by seed with their intervals, one panel a task, in points.

    Args:
        tasks: whose claims.
    """
    from egolib.viz.style import Drawing, look

    shown = {t: [c for c in claims_of(t) if c["mean"] is not None] for t in tasks}
    shown = {task: claims for task, claims in shown.items() if claims}
    heights = [max(len(claims), 1) for claims in shown.values()] or [1]
    with look():
        figure = Drawing(0.8 + 0.27 * sum(heights) + 0.45 * len(shown))
        panels = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        for axes, (task, claims) in zip(panels, shown.items(), strict=False):
            _claims_panel(axes, task, claims)
        panels[-1].set_xlabel("difference in points of percent (dots: means, lines: intervals)")
        for verdict in ("held", "undecided", "not held"):
            panels[0].plot([], [], "o", color=VERDICT_COLORS[verdict], label=verdict)
        panels[0].legend(loc="lower right")
    return figure


def _claims_panel(axes: Any, task: str, claims: Sequence[Mapping[str, Any]]) -> None:
    from egolib.viz.style import brief

    for row, claim in enumerate(reversed(claims)):
        color = VERDICT_COLORS[claim["verdict"]]
        axes.plot(claim["interval"] or [claim["mean"]] * 2, [row, row], color=color)
        axes.plot(claim["mean"], row, "o", color=color, markersize=4)
        axes.plot(claim["differences"], [row] * len(claim["differences"]), "|", color=color)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(claims)), [brief(c["name"], 58) for c in reversed(claims)])
    axes.set_title(task, loc="left")
