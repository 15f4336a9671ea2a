"""The curves and segments of a figure as numbers, which a page tells under a pointer.

The picture stays what it is, on paper too; a page lays a pointer over each of its axes.
Segments are horizontal bars that bear a label of their own (``barh(..., label=[text])``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

FEWEST, MOST = 3, 300  # points of a curve: fewer are marks, more are thinned
DIGITS_X, DIGITS_Y = 6, 4


def curves(figure: Figure) -> list[dict[str, Any]]:
    """What a pointer needs of each axes with curves.

    Args:
        figure: drawn already, so that its layout is known.

    Returns:
        For each: ``box`` (left, top, width, height as fractions of the picture), ``x`` and ``y``
        (labels), ``range`` (of the horizontal axis), ``log``, ``lines`` with ``name``,
        ``colour``, ``x`` and ``y`` in the axes' units, ``at`` in fractions of the height, and
        ``spans`` with ``name``, ``x`` (begin and end) and ``at`` (upper and lower edge); an
        axes has one of the two.
    """
    found = []
    for axes in figure.axes:
        lines = [line for line in axes.get_lines() if _is_curve(line, axes)]
        bars = [] if lines else _labelled_bars(axes)
        if not (lines or bars) or axes.images or not axes.axison:
            continue
        place = axes.get_position()
        found.append(
            {
                "box": _few([place.x0, 1 - place.y1, place.width, place.height]),
                "x": axes.get_xlabel() or _label_below(axes, figure),
                "y": axes.get_ylabel() or _label_beside(axes, figure),
                "range": _few(axes.get_xlim(), DIGITS_X),
                "log": axes.get_xscale() == "log",
                "lines": [_line(line, axes) for line in lines],
                "spans": [_span(bar, axes) for bar in bars],
            }
        )
    return found


def _is_curve(line: Line2D, axes: Axes) -> bool:
    x = np.asarray(line.get_xdata(orig=False), float)
    rising = len(x) >= FEWEST and bool((np.diff(x) > 0).all())
    return rising and line.get_visible() and line.get_transform() == axes.transData


def _labelled_bars(axes: Axes) -> list[Rectangle]:
    bars = [c for c in axes.containers if isinstance(c, BarContainer)]
    lying = [bar for c in bars if c.orientation == "horizontal" for bar in c.patches]
    return [bar for bar in lying if str(bar.get_label())[:1] not in ("", "_")]


def _label_below(axes: Axes, figure: Figure) -> str:
    """The label of the lowest axes in the same column."""
    left = axes.get_position().x0
    column = [a for a in figure.axes if abs(a.get_position().x0 - left) < 0.02]
    return next((a.get_xlabel() for a in reversed(column) if a.get_xlabel()), "")


def _label_beside(axes: Axes, figure: Figure) -> str:
    """The label of axes in the same row or column."""
    return next((a.get_ylabel() for a in figure.axes if a.get_ylabel()), "")


def _line(line: Line2D, axes: Axes) -> dict[str, Any]:
    x, y = (np.asarray(v, float) for v in (line.get_xdata(orig=False), line.get_ydata(orig=False)))
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST)).round().astype(int))
    kept = kept[np.isfinite(y[kept])]
    pixels = axes.transData.transform(np.stack([x[kept], y[kept]], 1))
    heights = axes.transAxes.inverted().transform(pixels)[:, 1]
    name = str(line.get_label())
    return {
        "name": "" if name.startswith("_") else name,
        "colour": _colour(line),
        "x": _few(x[kept], DIGITS_X),
        "y": _few(y[kept]),
        "at": _few(1 - heights),
    }


def _span(bar: Rectangle, axes: Axes) -> dict[str, Any]:
    (begin, low), (end, high) = bar.get_bbox().get_points()
    pixels = axes.transData.transform([(begin, high), (begin, low)])
    heights = axes.transAxes.inverted().transform(pixels)[:, 1]
    name, place = str(bar.get_label()), _few([begin, end], DIGITS_X)
    return {"name": name, "x": place, "at": _few(1 - heights)}


def _colour(line: Line2D) -> str:
    from matplotlib.colors import to_hex

    return str(to_hex(line.get_color()))


def _few(values: Any, digits: int = DIGITS_Y) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values]
