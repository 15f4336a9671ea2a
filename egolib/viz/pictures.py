"""Frames of a video as pictures in rows, and curves: the parts that all figures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from egolib.errors import EgolibError
from egolib.video import VideoReader
from egolib.viz.style import WIDTH_INCH, Drawing, beside, colours, look, show_image

Video = str | Path | VideoReader
MEETING = 0.07  # of the height: ends of curves whose names would overlap


def as_reader(video: Video) -> VideoReader:
    """The reader of a path; readers are given back."""
    return video if isinstance(video, VideoReader) else VideoReader(video)


def spread(numbers: ArrayLike, count: int) -> NDArray[np.int64]:
    """At most ``count`` of the numbers, evenly spread, first and last among them."""
    numbers = np.asarray(numbers, np.int64)
    places = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round()
    return numbers[np.unique(places).astype(np.int64)]


def row_inch(size: tuple[int, int], columns: int) -> float:
    """Height of a row of titled pictures of that (width, height)."""
    return WIDTH_INCH / columns * size[1] / size[0] + 0.2


def seconds_of(reader: VideoReader, frame: int) -> str:
    """A frame's time since the start of the video, as a title."""
    return f"{reader.timestamp(frame) - reader.start_sec:.1f} s"


def picture_row(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str] = (), columns: int = 6
) -> Drawing:
    """Pictures side by side, in as many rows as needed, each with its title.

    Args:
        images: (H, W, 3) uint8 RGB arrays.
        titles: one for each picture, or none.
        columns: pictures in a row.
    """
    if not len(images):
        raise EgolibError("there are no pictures to draw")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    with look():
        figure = Drawing(rows * row_inch((width, height), columns))
        for place, image in enumerate(images):
            title = titles[place] if place < len(titles) else ""
            show_image(figure.add_subplot(rows, columns, place + 1), image, title)
    return figure


def curves(
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]], x_label: str = "", y_label: str = ""
) -> Drawing:
    """Curves with their names at the right ends, as for losses over updates.

    Where ends meet, the names stand in a legend.

    Args:
        lines: name -> (x, y), each (N,).
        x_label: below the axis.
        y_label: beside the axis.
    """
    with look():
        figure = Drawing(2.2)
        axes = figure.add_subplot()
        for (name, (x, y)), tint in zip(lines.items(), colours(len(lines)), strict=True):
            xs, ys = np.asarray(x, float), np.asarray(y, float)
            mark = "." if len(xs) < 12 else None
            axes.plot(xs, ys, color=tint, linewidth=1.2, marker=mark, label=name)
        points = {line: np.asarray(line.get_xydata()) for line in axes.get_lines()}
        ends = {line: own[-1] for line, own in points.items() if len(own)}
        apart = np.diff(sorted(end[1] for end in ends.values()))
        if (apart < MEETING * np.ptp(axes.get_ylim())).any():
            axes.legend(fontsize=7)
        else:
            for line, end in ends.items():
                beside(axes, str(line.get_label()), tuple(end), str(line.get_color()))
        axes.set(xlabel=x_label, ylabel=y_label)
    return figure
