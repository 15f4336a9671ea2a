"""Segments of known classes on one time axis, one row a class, predicted and true."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from egolib.report.results import LabelledMoments
from egolib.viz.pictures import Video, as_reader
from egolib.viz.style import PREDICTED, Drawing, beside, brief, look, show_image, true_patch

_BAR = 0.34  # of the unit that a class takes


def timeline_figure(
    moments: LabelledMoments,
    video: Video | None = None,
    *,
    count: int = 3,
    most_classes: int = 12,
) -> Drawing:
    """Predicted and true segments on one time axis, one row a class.

    Args:
        moments: of one video.
        video: the frames in the middle of its best three segments are shown above.
        count: how many segments of each class are drawn, best first.
        most_classes: rows; true classes first, then those with the best segments.
    """
    rows = shown_classes(moments, most_classes)
    frames: Any = moments.segments_sec[:3] if video is not None else []
    above = 1.7 if len(frames) else 0.0
    below = 0.36 * max(len(rows), 1) + 0.6
    with look():
        figure = Drawing(above + below)
        grid = figure.add_gridspec(2, 3, height_ratios=[above or 0.01, below])
        for place, (start, end) in enumerate(frames):
            reader = as_reader(video)  # type: ignore[arg-type]
            image = reader[reader.frame_at((start + end) / 2)]
            title = f"{place + 1}:  {brief(moments.labels[place], 24)}, {start:.1f} to {end:.1f} s"
            show_image(figure.add_subplot(grid[0, place]), image, title)
        axes = figure.add_subplot(grid[1, :])
        for number, label in enumerate(rows):
            _class_row(axes, moments, label, -number, count)
        _axis(axes, moments, rows)
    return figure


def shown_classes(moments: LabelledMoments, most: int) -> list[str]:
    """The classes that get a row: the true ones, then those with the best segments."""
    return list(dict.fromkeys((*moments.truth_labels, *moments.labels)))[:most]


def _class_row(axes: Axes, moments: LabelledMoments, label: str, middle: int, count: int) -> None:
    """The truth above, the predictions below; the best one with its score."""
    if moments.truth_sec is not None:
        for own, (start, end) in zip(moments.truth_labels, moments.truth_sec, strict=True):
            if own == label:
                patch = true_patch(label=[f"{label}, true"])
                axes.barh(middle + _BAR / 2, end - start, _BAR * 0.9, left=start, **patch)
    for rank, index in enumerate(moments.of(label)[:count]):
        start, end = moments.segments_sec[index]
        place, fade = middle - _BAR / 2, 1 - 0.75 * rank / count
        style: Any = {"color": PREDICTED, "alpha": fade}
        style["label"] = [f"{label}, segment {rank + 1}, score {moments.scores[index]:.2f}"]
        axes.barh(place, end - start, _BAR * 0.9, left=start, **style)
        if not rank:
            beside(axes, f"{moments.scores[index]:.2f}", (end, place), "#444444", size=6)


def _axis(axes: Axes, moments: LabelledMoments, rows: list[str]) -> None:
    times = [t for t in (moments.segments_sec, moments.truth_sec) if t is not None]
    end = max([float(np.max(t, initial=0)) for t in times] + [moments.duration_sec or 0.0])
    axes.set(xlim=(0, end or 1), ylim=(-len(rows) + 0.4, 0.6), xlabel="seconds")
    axes.set_yticks([-n for n in range(len(rows))], [brief(label, 40) for label in rows])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    legend = [Patch(color=PREDICTED, label="predicted, best first")]
    if moments.truth_sec is not None:
        legend.append(Patch(**true_patch(label="true")))
    axes.legend(handles=legend, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=7)
