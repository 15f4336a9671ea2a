"""How well texts describe a video, and what was retrieved for texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from egolib.errors import EgolibError
from egolib.report.results import Similarity
from egolib.viz.pictures import Video, as_reader, row_inch
from egolib.viz.style import QUIET, RIGHT, TRUE, Drawing, brief, colours, look, show_image

_MOST_FRAMES = 5


def similarity_figure(similarity: Similarity, video: Video | None = None) -> Drawing:
    """How similar texts are to a video: curves over time with their peaks, or one bar a text.

    Args:
        similarity: of texts and a video.
        video: the frames at the peaks of the first curves are shown above them.
    """
    if not len(similarity.times_sec):
        return _bars(similarity)
    peaks, tints = similarity.curve.argmax(0), colours(len(similarity.texts))
    reader = as_reader(video) if video is not None else None
    shown = min(len(peaks), _MOST_FRAMES) if reader else 0
    with look():
        image_inch = row_inch(reader.size, max(shown, 3)) if reader else 0.01
        figure = Drawing(image_inch + 2.0 + 0.16 * len(peaks))
        grid = figure.add_gridspec(2, max(shown, 1), height_ratios=[image_inch, 2.0])
        for place in range(shown):
            assert reader is not None
            sec, axes = similarity.times_sec[peaks[place]], figure.add_subplot(grid[0, place])
            show_image(axes, reader[reader.frame_at(float(sec))], f"{sec:.1f} s")
            axes.spines[:].set(visible=True, color=tints[place], linewidth=2.5)
        _curves(figure.add_subplot(grid[1, :]), similarity, peaks.tolist(), tints)
    return figure


def _curves(axes: Axes, similarity: Similarity, peaks: list[int], tints: list[str]) -> None:
    times = similarity.times_sec
    for text, score, values, peak, tint in zip(
        similarity.texts, similarity.scores, similarity.curve.T, peaks, tints, strict=True
    ):
        label = f"{score:.2f}  {brief(text, 80)}"
        axes.plot(times, values, color=tint, linewidth=1.1, label=label)
        axes.plot(times[peak], values[peak], "v", color=tint, markersize=6)
    axes.set(xlabel="seconds", ylabel="similarity")
    axes.margins(x=0.01)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.28), fontsize=7)


def _bars(similarity: Similarity) -> Drawing:
    order = np.argsort(similarity.scores, kind="stable")
    scores, texts = similarity.scores[order], [brief(similarity.texts[i], 50) for i in order]
    with look():
        figure = Drawing(0.6 + 0.24 * max(len(order), 1))
        axes = figure.add_subplot()
        places = np.arange(len(order))
        tints = [TRUE if place == len(order) - 1 else QUIET for place in places]
        axes.barh(places, scores, color=tints, height=0.6)
        axes.set_yticks(places, texts)
        axes.bar_label(axes.containers[0], fmt="%.2f", padding=3, fontsize=7)  # type: ignore[arg-type]
        axes.set(xlabel="similarity")
        axes.margins(x=0.12)
    return figure


def retrieval_grid(
    queries: Sequence[str],
    images: Sequence[Sequence[NDArray[np.uint8]]],
    scores: ArrayLike,
    relevant: ArrayLike | None = None,
) -> Drawing:
    """What was retrieved for each text: a row of pictures, best first.

    Args:
        queries: T texts.
        images: T rows of K pictures each, (H, W, 3) uint8 RGB, best first.
        scores: (T, K).
        relevant: (T, K) bool, which of them are right: a tick and a coloured frame.
    """
    if not len(queries) or not len(images[0]):
        raise EgolibError("there is nothing retrieved to draw")
    height, width = images[0][0].shape[:2]
    columns = len(images[0])
    right = None if relevant is None else np.asarray(relevant, bool)
    with look():
        figure = Drawing(len(queries) * (row_inch((width, height), columns) + 0.22))
        parts = figure.subfigures(len(queries), 1, squeeze=False)
        for row, query in enumerate(queries):
            parts[row, 0].suptitle(brief(query, 100), x=0.01, ha="left", fontsize=8)
            for column, image in enumerate(images[row]):
                axes = parts[row, 0].add_subplot(1, columns, column + 1)
                mark = None if right is None else bool(right[row, column])
                _retrieved(axes, image, float(np.asarray(scores)[row, column]), mark)
    return figure


def _retrieved(axes: Axes, image: NDArray[np.uint8], score: float, right: bool | None) -> None:
    mark = {None: "", True: "✓ ", False: "✗ "}[right]
    show_image(axes, image, f"{mark}{score:.2f}")
    if right is not None:
        axes.spines[:].set(visible=True, color=RIGHT if right else QUIET, linewidth=1 + 1.5 * right)
