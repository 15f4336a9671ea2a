"""Figures of the nlq pages: what the questions look like, how training went, where recall lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from egolib.nlq.data.annotations import Query
from egolib.viz.style import PALETTE, PREDICTED, TRUE, Drawing, brief, look

if TYPE_CHECKING:
    import pandas as pd


LOSSES = ("classification", "regression")
SPAN_LOSSES = ("location", "highlight")  # VSLNet's


def questions(queries: Mapping[str, Sequence[Query]], most: int = 10) -> Drawing:
    """Lengths of the answers, their places in the clip, and how questions begin, by list.

    Args:
        queries: lists by name; those without answers are not in the first two parts.
        most: how many beginnings are shown.
    """
    answered = {name: own for name, own in queries.items() if own and own[0].windows_sec}
    every = [
        end - start for own in answered.values() for q in own for start, end in q.windows_sec or ()
    ]
    shortest = max(min(every), 0.05)
    edges = np.geomspace(shortest, max(*every, 2 * shortest), 24)
    with look():
        figure = Drawing(2.5)
        lengths, places, firsts = figure.subplots(1, 3)
        for (name, own), tint in zip(answered.items(), PALETTE, strict=False):
            windows = [(w, q.duration_sec) for q in own for w in q.windows_sec or ()]
            length = [end - start for (start, end), _ in windows]
            place = [(start + end) / 2 / duration for (start, end), duration in windows]
            _steps(lengths, length, edges, tint, name)
            _steps(places, place, np.linspace(0, 1, 21), tint, name)
        lengths.set(xscale="log", xlabel="length of the answer, s", ylabel="fraction of questions")
        places.set(xlabel="place in the clip", ylim=(0, None))
        places.legend(fontsize=7)
        _beginnings(firsts, [q.text for own in queries.values() for q in own], most)
    return figure


def _steps(axes: Axes, values: Sequence[float], edges: Any, tint: str, name: str) -> None:
    weights = np.full(len(values), 1 / max(len(values), 1))
    axes.hist(
        np.clip(values, edges[0], edges[-1]), edges, weights=weights, histtype="step",
        color=tint, label=name,
    )  # fmt: skip


def _beginnings(axes: Axes, texts: Sequence[str], most: int) -> None:
    """How often questions begin with each two words."""
    counts = Counter(" ".join(text.lower().split()[:2]) for text in texts).most_common(most)
    names, values = zip(*reversed(counts), strict=True)
    axes.barh(range(len(names)), values, color=PALETTE[2])
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_xlabel("questions that begin so")


def training(records: Sequence[Mapping[str, Any]], schedule: Callable[[int], float]) -> Drawing:
    """Loss parts over updates, with the validation's as dots, and the learning rate's factor.

    Args:
        records: lines of ``metrics.jsonl``.
        schedule: the factor by update.
    """
    lines = {
        kind: [record for record in records if record["kind"] == kind]
        for kind in ("train", "evaluate")
    }
    with look():
        figure = Drawing(2.6)
        losses, rate = figure.subplots(1, 2, width_ratios=(3, 1))
        logged = lines["train"][0] if lines["train"] else {}
        names = SPAN_LOSSES if SPAN_LOSSES[0] in logged else LOSSES
        for name, tint in zip(names, PALETTE, strict=False):
            for kind, style in (("train", "-"), ("evaluate", "o")):
                own = [r for r in lines[kind] if name in r]
                label = f"{name}, validation" if kind == "evaluate" else name
                losses.plot(
                    [r["update"] for r in own], [r[name] for r in own], style, color=tint,
                    markersize=3, markerfacecolor="white", label=label if own else None,
                )  # fmt: skip
        losses.set(xlabel="updates", ylabel="loss", ylim=(0, None))
        losses.legend(fontsize=7)
        last = max((record["update"] for record in lines["train"]), default=1)
        updates = np.unique(np.linspace(0, last - 1, 200).astype(int))
        rate.plot(updates, [schedule(int(update)) for update in updates], color=PALETTE[2])
        rate.set(xlabel="updates", ylabel="learning rate, fraction of its base", ylim=(0, None))
    return figure


def recall_by_group(tables: Mapping[str, pd.DataFrame], blind: float | None = None) -> Drawing:
    """R@1 and R@5 at IoU 0.3 of each group of questions, one part a grouping.

    Args:
        tables: see ``egolib.nlq.steps.evaluate.group_tables``.
        blind: R@1 of the blind baseline over all questions, as a dashed line.
    """
    rows = [len(table) for table in tables.values()]
    with look():
        figure = Drawing(0.4 * len(rows) + 0.2 * sum(rows))
        parts = figure.subplots(len(rows), 1, height_ratios=[n + 0.8 for n in rows], sharex=True)
        for axes, (name, table) in zip(np.atleast_1d(parts), tables.items(), strict=True):
            place = np.arange(len(table))[::-1]
            axes.barh(place, table["r5_at_0.3"], 0.7, color=PREDICTED, alpha=0.3, label="R@5")
            axes.barh(place, table["r1_at_0.3"], 0.7, color=PREDICTED, label="R@1")
            counts = [f"{brief(str(x), 48)}  ({n})" for x, n in table["questions"].items()]
            axes.set_yticks(place, counts, fontsize=7)
            axes.set_title(f"by {name}", loc="left")
            if blind is not None:
                axes.axvline(blind, color=TRUE, linestyle="--", linewidth=1, label="blind R@1")
        np.atleast_1d(parts)[0].legend(
            ncols=3, fontsize=7, loc="lower right", bbox_to_anchor=(1, 1)
        )
        np.atleast_1d(parts)[-1].set(xlabel="recall at IoU 0.3, %", xlim=(0, 100))
    return figure
