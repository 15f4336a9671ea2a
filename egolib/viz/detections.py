"""Detected objects on frames of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.report.results import Detections, FrameDetections
from egolib.viz.pictures import Video, as_reader, row_inch, seconds_of, spread
from egolib.viz.style import Drawing, colours, look, show_box, show_image


def detection_figure(
    video: Video,
    detections: Detections | FrameDetections,
    *,
    class_names: Sequence[str] = (),
    truth: Mapping[int, tuple[NDArray[Any], NDArray[Any]]] | None = None,
    frames: Sequence[int] | None = None,
    count: int = 6,
    threshold: float = 0.3,
) -> Drawing:
    """Detected boxes on frames of the video, with class and score.

    Args:
        video: a path or an open reader.
        detections: of a video, or of one frame.
        class_names: needed for a single frame's detections only.
        truth: frame number -> (boxes_xyxy, labels): dashed boxes.
        frames: which frames to show; else ``count`` of those looked at, evenly spread.
        count: how many frames are shown.
        threshold: lowest score that is drawn.
    """
    if isinstance(detections, FrameDetections):
        detections = Detections([detections], tuple(class_names))
    found = {entry.frame: entry for entry in detections.frames}
    chosen = spread(sorted(found), count).tolist() if frames is None else list(frames)
    if not chosen:
        raise EgolibError("there are no frames with detections to draw")
    reader, columns = as_reader(video), min(len(chosen), 3)
    rows = -(-len(chosen) // columns)
    with look():
        figure = Drawing(rows * row_inch(reader.size, columns))
        for place, (frame, image) in enumerate(
            zip(chosen, reader.batch(chosen), strict=True), start=1
        ):
            axes = figure.add_subplot(rows, columns, place)
            show_image(axes, image, seconds_of(reader, frame))
            if truth and frame in truth:
                _true_boxes(axes, *truth[frame])
            if frame in found:
                _found_boxes(axes, found[frame], detections.class_names, threshold)
    return figure


def strongest(found: FrameDetections, threshold: float) -> list[tuple[NDArray[Any], int, float]]:
    """(box, label, score) of the detections that reach a score, the best last (drawn on top)."""
    rows = zip(found.boxes_xyxy, found.labels, found.scores, strict=True)
    kept = [(box, int(label), float(score)) for box, label, score in rows if score >= threshold]
    return sorted(kept, key=lambda row: row[2])


def caption(names: Sequence[str], label: int, score: float) -> str:
    """The name of a class (its number where it has none) and a score.

    Args:
        names: of the classes.
        label: number of the class.
        score: of the detection.
    """
    return f"{names[label] if 0 <= label < len(names) else f'class {label}'} {score:.2f}"


def tint(label: int) -> str:
    """The colour of a class."""
    return colours(label + 1)[label]


def _true_boxes(axes: Axes, boxes: NDArray[Any], labels: NDArray[Any]) -> None:
    for box, label in zip(np.asarray(boxes), np.asarray(labels), strict=True):
        show_box(axes, box, tint(int(label)), dashed=True)


def _found_boxes(
    axes: Axes, found: FrameDetections, names: Sequence[str], threshold: float
) -> None:
    for box, label, score in strongest(found, threshold):
        show_box(axes, box, tint(label), label=caption(names, label, score))
