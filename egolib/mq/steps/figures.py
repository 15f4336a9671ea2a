"""Figures of the mq pages. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from egolib.mq.data.annotations import Clip
from egolib.mq.data.statistics import class_counts
from egolib.mq.evaluation import Evaluation
from egolib.viz.style import PALETTE, PREDICTED, TRUE, Drawing, brief, look, true_patch


def moments(subsets: Mapping[str, Sequence[Clip]], most: int = 12) -> Drawing:
    """Lengths of the moments, how many a clip has, and the commonest classes, by subset.

    Args:
        subsets: clips with moments by name.
        most: classes that are shown.
    """
    clips_of_all = [clip for clips in subsets.values() for clip in clips]
    every = [m.end_sec - m.start_sec for clip in clips_of_all for m in clip.moments]
    edges = np.geomspace(max(min(every), 0.1), max(*every, 1.0), 24)
    with look():
        figure = Drawing(2.6)
        lengths, often, classes = figure.subplots(1, 3)
        for (name, clips), tint in zip(subsets.items(), PALETTE, strict=False):
            own = [m.end_sec - m.start_sec for c in clips for m in c.moments]
            _steps(lengths, np.clip(own, edges[0], edges[-1]), edges, tint, name)
            number = [len(c.moments) for c in clips]
            _steps(often, number, np.arange(0.5, max(number) + 1.5), tint, name)
        lengths.set(xscale="log", xlabel="length of a moment, s", ylabel="fraction")
        often.set(xlabel="moments of a clip", ylim=(0, None))
        often.legend(fontsize=7)
        _classes(classes, subsets, most)
    return figure


def _steps(axes: Axes, values: Any, edges: Any, tint: str, name: str) -> None:
    weights = np.full(len(values), 1 / max(len(values), 1))
    axes.hist(values, edges, weights=weights, histtype="step", color=tint, label=name)


def _classes(axes: Axes, subsets: Mapping[str, Sequence[Clip]], most: int) -> None:
    counts = class_counts(clip for clips in subsets.values() for clip in clips)
    names = list(counts)[:most][::-1]
    axes.barh(range(len(names)), [counts[name] for name in names], color=PALETTE[2])
    axes.set_yticks(range(len(names)), [brief(name, 30) for name in names], fontsize=7)
    axes.set_xlabel("moments")


def targets(clip: Clip, curves: Mapping[str, np.ndarray]) -> Drawing:
    """A clip's moments, and the three curves that the network learns, on one time axis.

    Args:
        clip: with moments.
        curves: (n,) by name, over the clip's features.
    """
    labels = list(clip.labels)
    with look():
        figure = Drawing(0.7 + 0.16 * len(labels) + 0.45 * len(curves))
        heights = [max(len(labels), 2) * 0.2, *[0.5] * len(curves)]
        parts = figure.subplots(1 + len(curves), 1, sharex=True, height_ratios=heights)
        for moment in clip.moments:
            row = -labels.index(moment.label)
            length = moment.end_sec - moment.start_sec
            parts[0].barh(row, length, 0.7, left=moment.start_sec, **true_patch())
        parts[0].set_yticks([-n for n in range(len(labels))], [brief(x, 30) for x in labels])
        for axes, (name, curve), tint in zip(parts[1:], curves.items(), PALETTE, strict=False):
            times = np.arange(len(curve)) * clip.duration_sec / len(curve)
            axes.fill_between(times, curve, step="post", color=tint, alpha=0.6)
            axes.set(ylim=(0, 1.05), yticks=[0, 1], ylabel=name)
        parts[-1].set(xlabel="seconds", xlim=(0, clip.duration_sec))
    return figure


def training(records: Sequence[Mapping[str, Any]], schedule: Callable[[int], float]) -> Drawing:
    """Loss terms over updates, with validation's as dots, and the learning rate's factor.

    Args:
        records: lines of ``metrics.jsonl``.
        schedule: the factor by update.
    """
    with look():
        figure = Drawing(2.8)
        losses, rate = figure.subplots(1, 2, width_ratios=(3, 1))
        kinds = {kind: [r for r in records if r["kind"] == kind] for kind in ("train", "evaluate")}
        names = [n for n in ("classification", "regression", "boundary", "action", "start", "end")
                 if any(n in r for r in kinds["train"])]  # fmt: skip
        for name, tint in zip(names, PALETTE, strict=False):
            for kind, style in (("train", "-"), ("evaluate", "o")):
                own = [r for r in kinds[kind] if name in r]
                losses.plot(
                    [r["update"] for r in own], [r[name] for r in own], style, color=tint,
                    markersize=3, markerfacecolor="white", label=name if kind == "train" else None,
                )  # fmt: skip
        losses.set(xlabel="updates (dots: validation)", ylabel="loss", ylim=(0, None))
        losses.legend(fontsize=7, ncols=2)
        last = max((record["update"] for record in kinds["train"]), default=1)
        updates = np.unique(np.linspace(0, last - 1, 200).astype(int))
        rate.plot(updates, [schedule(int(update)) for update in updates], color=PALETTE[2])
        rate.set(xlabel="updates", ylabel="learning rate, fraction of its base", ylim=(0, None))
    return figure


def average_precision(found: Evaluation, baseline: Evaluation | None = None) -> Drawing:
    """mAP by threshold, beside the baseline's, and the average precision of every class.

    Args:
        found: of the network.
        baseline: of fixed intervals.
    """
    assert found.detection is not None
    values = 100 * found.detection.values.mean(1)
    order = np.argsort(values)
    with look():
        figure = Drawing(max(2.4, 0.15 * len(values) + 0.6))
        curve, classes = figure.subplots(1, 2, width_ratios=(1, 1.4))
        for own, tint, style, name in (
            (found, PREDICTED, "o-", "network"), (baseline, TRUE, "s--", "blind"),
        ):  # fmt: skip
            if own is not None and own.detection is not None:
                height = 100 * own.detection.by_threshold
                curve.plot(own.detection.thresholds, height, style, color=tint, label=name)
        curve.set(xlabel="temporal IoU", ylabel="mAP, %", ylim=(0, None))
        curve.legend(fontsize=7)
        classes.barh(range(len(order)), values[order], color=PREDICTED)
        classes.set_yticks(
            range(len(order)), [brief(found.classes[i], 34) for i in order], fontsize=7
        )
        classes.set_xlabel("average precision, mean over thresholds, %")
    return figure
