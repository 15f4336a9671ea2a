"""A response track as a strip of frames over the score curve that it was found with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from egolib.report.results import ResponseTrack
from egolib.viz.pictures import Video, as_reader, row_inch, seconds_of, spread
from egolib.viz.style import PREDICTED, TRUE, Drawing, look, show_box, show_image, true_patch


def track_figure(
    video: Video,
    track: ResponseTrack,
    *,
    query: NDArray[np.uint8] | None = None,
    truth: tuple[ArrayLike, ArrayLike] | None = None,
    count: int = 5,
    name: str = "",
) -> Drawing:
    """A response-track strip over the score curve that it was found with.

    Args:
        video: what the track was found in.
        track: the prediction: solid boxes, and shaded on the curve.
        query: (H, W, 3) uint8 picture of the object asked for, shown first.
        truth: (frames, boxes_xyxy) of the true track: dashed boxes, and hatched on
            the curve.
        count: frames in the strip, spread over the track (over the true one where
            nothing was found).
        name: of the object, written at its boxes.
    """
    reader = as_reader(video)
    found = dict(zip(track.frames.tolist(), track.boxes_xyxy, strict=True))
    true = (
        dict(zip(np.asarray(truth[0]).tolist(), np.asarray(truth[1]), strict=True)) if truth else {}
    )
    shown = spread(sorted(found or true), count).tolist()
    first = 1 if query is not None else 0
    with look():
        strip_inch = row_inch(reader.size, max(first + len(shown), 3)) if first or shown else 0.01
        figure = Drawing(strip_inch + 1.5)
        grid = figure.add_gridspec(2, max(first + len(shown), 1), height_ratios=[strip_inch, 1.4])
        if query is not None:
            show_image(figure.add_subplot(grid[0, 0]), query, "query")
        for place, (frame, image) in enumerate(
            zip(shown, reader.batch(shown), strict=True), start=first
        ):
            axes = figure.add_subplot(grid[0, place])
            show_image(axes, image, seconds_of(reader, frame))
            if frame in true:
                show_box(axes, true[frame], TRUE, dashed=True)
            if frame in found:
                show_box(axes, found[frame], PREDICTED, label=name)
        _curve(figure.add_subplot(grid[1, :]), track, sorted(true))
    return figure


def score_curve(track: ResponseTrack, true_frames: Sequence[int] = ()) -> Drawing:
    """The similarity of every searched frame, its peak, and the track's span."""
    with look():
        figure = Drawing(1.6)
        _curve(figure.add_subplot(), track, true_frames)
    return figure


def _curve(axes: Axes, track: ResponseTrack, true_frames: Sequence[int]) -> None:
    frames, curve = np.asarray(track.curve_frames), np.asarray(track.curve)
    axes.plot(frames, curve, color="#333333", linewidth=0.9)
    if len(track.frames):
        first, last = track.frames[0] - 0.5, track.frames[-1] + 0.5
        label = f"found, score {track.score:.2f}"
        axes.axvspan(first, last, color=PREDICTED, alpha=0.25, linewidth=0, label=label)
    else:
        axes.set_title("nothing was found", loc="left")
    if len(true_frames):
        first, last = true_frames[0] - 0.5, true_frames[-1] + 0.5
        axes.axvspan(first, last, ymax=0.12, **true_patch(label="true"))
    if track.peak_frame is not None and len(curve):
        height = np.interp(track.peak_frame, frames, curve)
        axes.plot([track.peak_frame], [height], "v", color=PREDICTED, markersize=6, label="peak")
    axes.set(xlabel="frame", ylabel="similarity")
    axes.margins(x=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=4, fontsize=7)
