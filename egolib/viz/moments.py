"""Segments that answer questions, predicted and true, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from egolib.errors import EgolibError
from egolib.report.results import Moments
from egolib.viz.pictures import Video, as_reader
from egolib.viz.style import PREDICTED, Drawing, beside, brief, look, show_image, true_patch

_ROW = 0.62  # of the unit that a question takes, the rest holds its text


def moment_figure(
    moments: Moments | Sequence[Moments], video: Video | None = None, *, count: int = 5
) -> Drawing:
    """Predicted and true segments on one time axis, one row a question.

    Args:
        moments: one answer, or several on the same video.
        video: with one answer, the frames in the middle of its best three segments
            are shown above.
        count: how many segments of each answer are drawn, best first.
    """
    answers = [moments] if isinstance(moments, Moments) else list(moments)
    if not answers:
        raise EgolibError("there are no answers to draw")
    with_frames = video is not None and len(answers) == 1
    best = answers[0].segments_sec[: 3 if with_frames else 0]
    axis_inch = (0.32 + 0.11 * count) * len(answers) + 0.5
    with look():
        figure = Drawing(axis_inch + (1.7 if len(best) else 0))
        grid = figure.add_gridspec(2, 3, height_ratios=[1.7 if len(best) else 0.01, axis_inch])
        for place, (start, end) in enumerate(best):
            reader = as_reader(video)  # type: ignore[arg-type]
            image = reader[reader.frame_at((start + end) / 2)]
            title = f"{place + 1}:  {start:.1f} to {end:.1f} s"
            show_image(figure.add_subplot(grid[0, place]), image, title)
        axes = figure.add_subplot(grid[1, :])
        for row, answer in enumerate(answers):
            _answer(axes, answer, -row, count)
        _time_axis(axes, answers)
    return figure


def _answer(axes: Axes, answer: Moments, top: int, count: int) -> None:
    """One question's row, one unit high: its text, the truth, then its segments by rank."""
    step = _ROW / (count + 1)
    place = (0, top + 0.06)
    axes.annotate(brief(answer.question, 100), place, xycoords=("axes fraction", "data"))
    for start, end in [] if answer.truth_sec is None else answer.truth_sec:
        patch = true_patch(label=[f"{answer.question} true"])
        axes.barh(top - step / 2, end - start, step * 0.8, left=start, **patch)
    for rank, ((start, end), score) in enumerate(
        zip(answer.segments_sec[:count], answer.scores, strict=False)
    ):
        height, fade = top - step * (rank + 1.5), 1 - 0.75 * rank / count
        style: Any = {"color": PREDICTED, "alpha": fade}
        style["label"] = [f"{answer.question} answer {rank + 1}, score {score:.2f}"]
        axes.barh(height, end - start, step * 0.8, left=start, **style)
        beside(axes, f"{rank + 1}   {score:.2f}", (end, height), "#444444", size=6)


def _time_axis(axes: Axes, answers: Sequence[Moments]) -> None:
    times = [a.segments_sec for a in answers] + [a.truth_sec for a in answers]
    ends = [float(np.max(t, initial=0)) for t in times if t is not None]
    end = max(ends + [answer.duration_sec or 0.0 for answer in answers])
    axes.set(xlim=(0, end or 1), ylim=(-len(answers) + 0.25, 0.35), yticks=[], xlabel="seconds")
    axes.spines["left"].set_visible(False)
    legend = [Patch(color=PREDICTED, label="predicted, best first")]
    if any(answer.truth_sec is not None for answer in answers):
        legend.append(Patch(**true_patch(label="true")))
    axes.legend(handles=legend, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=7)
