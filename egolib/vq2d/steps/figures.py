"""Figures of the vq2d pages: queries, samples, losses, score curves, sweeps, what ranks best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from egolib.report.results import ResponseTrack
from egolib.video import VideoReader
from egolib.viz.pictures import row_inch
from egolib.viz.style import (
    PALETTE,
    PREDICTED,
    TRUE,
    Drawing,
    look,
    show_box,
    show_image,
    true_patch,
)
from egolib.viz.tracks import track_figure
from egolib.vq2d.data.annotations import Annotations, Query
from egolib.vq2d.data.resize import resize_to
from egolib.vq2d.localization.localize import Answer, Start

if TYPE_CHECKING:
    from egolib.vq2d.data.dataset import TrainingSet

LOSS_NAMES = ("comparison", "frame", "objectness", "rpn_box", "classifier", "iou", "predictor")


def boxed_row(
    images: Sequence[np.ndarray], titles: Sequence[str], boxes: Sequence[Sequence[float] | None]
) -> Drawing:
    """Pictures side by side, the first one's box as the query, the others' as truth.

    Args:
        images: (H, W, 3) uint8 RGB.
        titles: of the pictures.
        boxes: xyxy in pixels of each picture; None for none.
    """
    height, width = images[0].shape[:2]
    with look():
        figure = Drawing(row_inch((width, height), len(images)))
        for place, (image, title, box) in enumerate(zip(images, titles, boxes, strict=True)):
            axes = figure.add_subplot(1, len(images), place + 1)
            show_image(axes, image, title)
            if box is not None:
                show_box(axes, box, PALETTE[2] if place == 0 else TRUE, dashed=place > 0)
    return figure


def queries(annotations: Mapping[str, Annotations]) -> Drawing:
    """Length of answers, size of their boxes, and time from their end to the query, by split.

    Splits without answers are left out.
    """
    known = {k: v for k, v in annotations.items() if any(q.track for q in v.queries)}
    with look():
        figure = Drawing(2.2)
        lengths, sizes, gaps = figure.subplots(1, 3)
        for (name, own), tint in zip(known.items(), PALETTE, strict=False):
            answered = [query for query in own.queries if query.track]
            _steps(lengths, [len(q.track) / 5 for q in answered], tint, name)
            _steps(sizes, [b.area**0.5 for q in answered for b in q.track], tint, name)
            ends = [(q.query_frame - q.track[-1].frame) / 5 for q in answered]
            _steps(gaps, ends, tint, name)
        lengths.set(xlabel="length of the answer, s", ylabel="fraction")
        sizes.set(xlabel="side of its boxes, pixels")
        gaps.set(xlabel="from its end to the query, s")
        gaps.legend(fontsize=7)
    return figure


def _steps(axes: Axes, values: Sequence[float], tint: str, name: str) -> None:
    weights = np.full(len(values), 1 / max(len(values), 1))
    axes.hist(values, 20, weights=weights, histtype="step", color=tint, label=name)


def samples(data: TrainingSet, seed: int = 0, count: int = 4) -> Drawing:
    """Training samples after augmentation: above the pictures of the object, below the frames.

    Args:
        data: the training set.
        seed: of the random views.
        count: of samples, evenly spread.
    """
    rng = np.random.default_rng(seed)
    items = [data.sample(int(i), rng) for i in np.linspace(0, len(data) - 1, count).astype(int)]
    with look():
        figure = Drawing(3.2)
        grid = figure.subplots(2, count, squeeze=False)
        for (above, below), item in zip(grid.T, items, strict=True):
            show_image(above, item.reference.numpy()[::-1].transpose(1, 2, 0), "object")
            title = "frame" if len(item.boxes) else "frame without the object"
            show_image(below, item.frame.numpy()[::-1].transpose(1, 2, 0), title)
            for box in item.boxes.tolist():
                show_box(below, box, TRUE, dashed=True)
    return figure


def training(records: Sequence[Mapping[str, Any]], schedule: Callable[[int], float]) -> Drawing:
    """The parts of the loss over updates, the validation's AP, the factor on the rates.

    Args:
        records: lines of ``metrics.jsonl``.
        schedule: the factor by update.
    """
    trained = [record for record in records if record["kind"] == "train"]
    evaluated = [record for record in records if record["kind"] == "evaluate"]
    with look():
        figure = Drawing(2.3)
        parts, precision, rates = figure.subplots(1, 3, width_ratios=(3, 1, 1))
        _loss_parts(parts, trained)
        for name, style in (("AP50", "o-"), ("AP", "o--")):
            own = [record for record in evaluated if name in record]
            updates = [record["update"] for record in own]
            precision.plot(updates, [record[name] for record in own], style, label=name)
        precision.set(xlabel="updates", ylabel="validation", ylim=(0, None))
        precision.legend(fontsize=7)
        precision.set_visible(bool(evaluated))
        last = trained[-1]["update"] if trained else 1
        places = np.unique(np.linspace(0, last, 200).astype(int))
        rates.plot(places, [schedule(int(update)) for update in places], color=PALETTE[1])
        rates.set(xlabel="updates", ylabel="factor on the rates", ylim=(0, None))
    return figure


def _loss_parts(axes: Axes, trained: Sequence[Mapping[str, Any]]) -> None:
    for name, tint in zip(LOSS_NAMES, PALETTE, strict=False):
        own = [record for record in trained if name in record]
        if own:
            updates = [record["update"] for record in own]
            axes.plot(updates, [record[name] for record in own], color=tint, label=name)
    axes.set(xlabel="updates", ylabel="loss", yscale="log")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7)


def response_strip(clips: Path, query: Query, answer: Answer) -> Drawing:
    """The picture asked for, frames of the answer with the truth where it is known, the curve.

    Args:
        clips: the folder of clips.
        query: the query.
        answer: to it.
    """
    x1, y1, x2, y2 = (round(value) for value in query.crop.xyxy)
    with VideoReader(clips / f"{query.clip_uid}.mp4") as reader:
        crop = resize_to(reader[query.crop.frame], query.crop.frame_size)[y1:y2, x1:x2]
        truth = [box.frame for box in query.track], [box.xyxy for box in query.track]
        curve, start = answer.start.curve, answer.start
        found = ResponseTrack(
            answer.track.frames,
            answer.track.boxes_xyxy,
            answer.track.score,
            curve.smoothed,
            curve.frames,
            start.frame if start.peak else None,
            reader.fps,
        )
        return track_figure(reader, found, query=crop, truth=truth if query.track else None)


def score_curves(
    starts: Sequence[Start], truths: Sequence[Sequence[int]], titles: Sequence[str]
) -> Drawing:
    """Score curves of queries: raw and smoothed, all peaks, the one that was taken, the truth.

    Args:
        starts: where tracking began.
        truths: frames of the true track of each query; may be empty.
        titles: of the queries.
    """
    with look():
        figure = Drawing(1.25 * len(starts) + 0.3)
        rows = figure.subplots(len(starts), 1, squeeze=False)[:, 0]
        for axes, start, truth, title in zip(rows, starts, truths, titles, strict=True):
            curve = start.curve
            axes.plot(curve.frames, curve.raw, color="#BBBBBB", linewidth=0.8, label="best score")
            axes.plot(curve.frames, curve.smoothed, color="#333333", linewidth=1, label="smoothed")
            peaks = [peak.index for peak in curve.peaks]
            axes.plot(
                curve.frames[peaks], curve.smoothed[peaks], "v", color=PALETTE[0], label="peaks"
            )
            taken = "v" if start.peak else "x"
            height = curve.smoothed[start.index]
            axes.plot([start.frame], [height], taken, color=PREDICTED, markersize=8, label="start")
            if len(truth):
                span = (min(truth) - 0.5, max(truth) + 0.5)
                axes.axvspan(*span, ymax=0.12, **true_patch(label="true"))
            axes.set_title(title, loc="left")
            axes.set(ylim=(0, 1.05))
            axes.margins(x=0.01)
        rows[0].legend(fontsize=7, ncols=5, loc="lower right", bbox_to_anchor=(1, 1))
        rows[-1].set(xlabel="frame before the query", ylabel="score")
    return figure


def sweep(
    found: Mapping[str, Mapping[float, Mapping[str, float]]],
    used: Mapping[str, float],
    metrics: Sequence[str] = ("stAP@0.25", "tAP@0.25"),
) -> Drawing:
    """Metrics against each swept setting, the configured value as a dashed line.

    Args:
        found: setting -> value -> metrics by name.
        used: the configured value of each setting.
        metrics: names of those that are drawn.
    """
    with look():
        figure = Drawing(2.1)
        parts = figure.subplots(1, max(len(found), 1), sharey=True, squeeze=False)[0]
        for axes, (name, values) in zip(parts, found.items(), strict=False):
            for metric, tint in zip(metrics, PALETTE, strict=False):
                heights = [numbers[metric] for numbers in values.values()]
                axes.plot(list(values), heights, "o-", color=tint, markersize=3, label=metric)
            axes.axvline(used[name], color="#8A8A8A", linestyle="--", linewidth=1)
            axes.set(xlabel=name, ylim=(0, None))
        parts[0].set(ylabel="AP")
        if found:
            parts[-1].legend(fontsize=7)
    return figure


def precision_bars(rows: Mapping[str, Mapping[str, float]], kind: str = "stAP@0.25") -> Drawing:
    """AP by way of ranking: the value, the band of tied orders, and p, which bounds it.

    Args:
        rows: name of the ranking -> metrics (``metrics.visual_query.Scores.table``).
        kind: ``tAP@0.25`` or ``stAP@0.25``.
    """
    perfect = "p_temporal@0.25" if kind.startswith("tAP") else "p_spatio_temporal@0.25"
    with look():
        figure = Drawing(0.5 + 0.25 * len(rows))
        axes = figure.add_subplot()
        place = np.arange(len(rows))[::-1]
        values = np.array([row[kind] for row in rows.values()])
        low = np.array([row[f"{kind}_low"] for row in rows.values()])
        high = np.array([row[f"{kind}_high"] for row in rows.values()])
        axes.barh(place, values, 0.6, color=PREDICTED, alpha=0.6)
        axes.hlines(place, low, high, color="#333333", linewidth=2, label="orders of ties")
        limits = [row[perfect] for row in rows.values()]
        axes.plot(limits, place, "|", color=TRUE, markersize=12, label="p: perfect ranking")
        axes.set_yticks(place, list(rows))
        axes.set(xlabel=kind, xlim=(0, None))
        axes.legend(fontsize=7, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure
