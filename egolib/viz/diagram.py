"""A method as a drawing: its stages as boxes in reading order, joined by arrows."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from egolib.errors import EgolibError
from egolib.viz.style import PALETTE, Drawing, look

COLUMNS = 4
ROW_INCH = 1.25


def stages(boxes: Sequence[tuple[str, str]]) -> Drawing:
    """Boxes with a name and what happens inside, four in a row.

    Args:
        boxes: name and text of each stage.

    Raises:
        EgolibError: there is no stage.
    """
    if not boxes:
        raise EgolibError("there are no stages to draw")
    rows = -(-len(boxes) // COLUMNS)
    with look():
        figure = Drawing(ROW_INCH * rows)
        axes = figure.add_subplot()
        axes.set(xlim=(0, COLUMNS), ylim=(-rows, 0))
        axes.axis("off")
        for number, (name, text) in enumerate(boxes):
            row, column = divmod(number, COLUMNS)
            axes.add_patch(_box(column + 0.06, -row - 0.88))
            axes.text(column + 0.46, -row - 0.2, name, ha="center", va="center", fontweight="bold")
            inside = fill(text, 24)
            axes.text(column + 0.46, -row - 0.57, inside, ha="center", va="center", fontsize=7)
            if number + 1 < len(boxes):
                _arrow(axes, row, column)
    return figure


def _box(left: float, bottom: float) -> FancyBboxPatch:
    style = "round,pad=0.02"
    colours: Any = {"facecolor": "#F4F7FA", "edgecolor": PALETTE[0]}
    return FancyBboxPatch((left, bottom), 0.8, 0.76, boxstyle=style, **colours)


def _arrow(axes: Axes, row: int, column: int) -> None:
    style: Any = {"arrowstyle": "-|>", "color": "#444444"}
    if column + 1 < COLUMNS:
        start, end = (column + 0.89, -row - 0.5), (column + 1.05, -row - 0.5)
    else:
        start, end = (column + 0.46, -row - 0.91), (0.46, -row - 1.1)
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
