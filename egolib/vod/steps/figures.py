"""Figures of the vod pages: what the videos look like, how training went, what is detected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from egolib.metrics.detection import RANGES
from egolib.metrics.motion_speed import MotionTable
from egolib.viz.detections import caption, tint
from egolib.viz.pictures import row_inch
from egolib.viz.style import PALETTE, QUIET, TRUE, WIDTH_INCH, Drawing, look, show_box, show_image
from egolib.vod.config.data import DataConfig
from egolib.vod.data.dataset import Source, class_names, read_image, true_objects
from egolib.vod.formats.submission import DetectionSet

if TYPE_CHECKING:
    import pandas as pd

LOSSES = ("objectness", "rpn_box", "classes", "boxes", "centerness")


def _picture(source: Source, row: int) -> np.ndarray:
    """A frame, (H, W, 3) uint8 RGB."""
    return read_image(source.images / source.index.path(row))[..., ::-1]


def frame_title(source: Source, row: int) -> str:
    """Where a frame stands in its video, and whether it is flagged."""
    index = source.index
    flagged = bool(index.generated[index.annotations(row)].any())
    return f"frame {int(index.frame[row])}{', degraded' if flagged else ''}"


# ------------------------------------------------------------------------------- data


def frames(source: Source, data: DataConfig, rows: Sequence[int], columns: int = 3) -> Drawing:
    """Frames with their true objects (dashed) and class names.

    Args:
        source: the videos.
        data: names of the classes.
        columns: frames in a line.
        rows: of the index.
    """
    names = class_names(data)
    with look():
        figure, parts = _strip(source, rows, columns)
        for axes, row in zip(parts, rows, strict=True):
            for box, label in zip(*true_objects(source, row), strict=True):
                show_box(axes, box, tint(int(label)), dashed=True, label=names[int(label)])
    return figure


def _strip(source: Source, rows: Sequence[int], columns: int) -> tuple[Drawing, list[Axes]]:
    pictures = [_picture(source, row) for row in rows]
    height, width = pictures[0].shape[:2]
    lines = -(-len(rows) // columns)
    figure = Drawing(lines * row_inch((width, height), columns))
    parts = []
    for place, (row, picture) in enumerate(zip(rows, pictures, strict=True), start=1):
        parts.append(figure.add_subplot(lines, columns, place))
        show_image(parts[-1], picture, frame_title(source, row))
    return figure, parts


def objects(source: Source, motion: MotionTable) -> Drawing:
    """Sizes and speeds of the true objects of the test videos."""
    index = source.index
    rows = np.flatnonzero(source.objects)
    sides = np.sqrt(index.box_xywh[rows, 2] * index.box_xywh[rows, 3])
    lengths = np.bincount(index.video[index.video >= 0])
    with look():
        figure = Drawing(2.0)
        size, speed, length = figure.subplots(1, 3)
        size.hist(sides, 24, color=PALETTE[0])
        size.set(xlabel="side of the object, pixels", ylabel="objects")
        speed.hist(motion.values, np.linspace(0, 1, 31), color=PALETTE[2])
        for limit in (RANGES["fast"][1], RANGES["medium"][1]):
            speed.axvline(limit, color=QUIET, linestyle="--", linewidth=1)
        speed.set(xlabel="motion IoU: fast | medium | slow")
        length.hist(lengths, 16, color=PALETTE[4])
        length.set(xlabel="frames of a video", ylabel="videos")
    return figure


# --------------------------------------------------------------------------- training


def training(records: Sequence[Mapping[str, Any]], schedule: Callable[[int], float]) -> Drawing:
    """Loss parts over updates, and the learning rate's factor.

    Args:
        records: lines of ``metrics.jsonl``.
        schedule: the factor by update.
    """
    lines = [record for record in records if record["kind"] == "train"]
    updates = [record["update"] for record in lines]
    with look():
        figure = Drawing(2.4)
        losses, rate = figure.subplots(1, 2, width_ratios=(3, 1))
        present = [n for n in LOSSES if any(n in record for record in lines)]
        for name, colour in zip(present, PALETTE, strict=False):
            losses.plot(updates, [r[name] for r in lines], color=colour, label=name)
        losses.set(xlabel="updates", ylabel="loss", ylim=(0, None))
        losses.legend(fontsize=7)
        last = max(updates, default=1)
        steps = np.unique(np.linspace(0, last - 1, 200).astype(int))
        rate.plot(steps, [schedule(int(step)) for step in steps], color=PALETTE[2])
        rate.set(xlabel="updates", ylabel="learning rate, fraction of its base", ylim=(0, None))
    return figure


# -------------------------------------------------------------------------- detections


def strips(
    source: Source,
    runs: Mapping[str, DetectionSet],
    rows: Sequence[int],
    threshold: float = 0.3,
) -> Drawing:
    """Detections of several runs on the same frames, one line a run; truth is dashed.

    Args:
        source: the videos.
        runs: detections by name.
        rows: of the index.
        threshold: lowest score that is drawn.
    """
    pictures = [_picture(source, row) for row in rows]
    height, width = pictures[0].shape[:2]
    with look():
        figure = Drawing(len(runs) * row_inch((width, height), len(rows)), WIDTH_INCH * 1.4)
        parts = figure.subplots(len(runs), len(rows), squeeze=False)
        for line, (name, found) in zip(parts, runs.items(), strict=True):
            for axes, row, picture in zip(line, rows, pictures, strict=True):
                show_image(axes, picture, frame_title(source, row))
                _draw(axes, source, row, found, threshold)
            line[0].set_ylabel(name)
    return figure


def _draw(axes: Axes, source: Source, row: int, found: DetectionSet, threshold: float) -> None:
    """The true and the found boxes of a frame; the best lie on top."""
    for box in true_objects(source, row)[0]:
        show_box(axes, box, TRUE, dashed=True)
    place = np.flatnonzero(found.image_id == source.index.image_id[row])
    own = np.flatnonzero(np.isin(found.boxes.frame, place) & (found.boxes.score >= threshold))
    for i in own[np.argsort(found.boxes.score[own])]:
        label = int(found.boxes.label[i])
        text = caption(found.class_names, label, float(found.boxes.score[i]))
        show_box(axes, found.boxes.box[i], tint(label), label=text)


def sweep(found: Mapping[str, pd.DataFrame]) -> Drawing:
    """Precision and recall against the score from which detections are kept, a curve a run.

    Args:
        found: of ``steps.evaluate.sweep``.
    """
    with look():
        figure = Drawing(2.2)
        for axes, measure in zip(figure.subplots(1, 2), ("precision", "recall"), strict=True):
            for (name, table), tint in zip(found.items(), PALETTE, strict=False):
                axes.plot(table.index, table[measure], color=tint, label=name)
            axes.set(xlabel="least score", ylabel=f"{measure}, %", ylim=(0, 102))
        axes.legend(fontsize=7)
    return figure


def bars(table: pd.DataFrame) -> Drawing:
    """AP50 of runs side by side: one group a column of ``steps.table``, one bar a run."""
    known = [c for c in table.columns if table[c].notna().any()]
    groups = [c for c in known if c != "COCO AP"] or known
    place, width = np.arange(len(groups)), 0.8 / len(table)
    with look():
        figure = Drawing(2.4)
        axes = figure.add_subplot()
        for number, (name, row) in enumerate(table.iterrows()):
            at = place + (number - (len(table) - 1) / 2) * width
            drawn = axes.bar(
                at, row[groups].fillna(0), width, color=PALETTE[number], label=str(name)
            )
            axes.bar_label(drawn, fmt="%.0f", fontsize=6, padding=1)
        axes.set_xticks(place, groups)
        axes.set(ylabel="AP50, %" if "AP50" in groups else "AP, %", ylim=(0, 105))
        axes.legend(fontsize=7, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return figure
