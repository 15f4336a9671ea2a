"""One look for all figures: colours that colour-blind readers can tell apart, small and quiet.

Meaning never rests on colour alone: true things are dashed or hatched, predicted
ones solid, and curves are labelled at their ends.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from egolib.errors import EgolibError
from egolib.io.records import atomic_path, check_target

#: Okabe and Ito's palette (Color Universal Design, 2008), without yellow, which is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
PREDICTED, TRUE, RIGHT, QUIET = "#D55E00", "#0072B2", "#009E73", "#8A8A8A"
WIDTH_INCH = 7.2
FORMATS = (".png", ".svg", ".pdf")

_HATCH = "/////"
_LOOK: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "text.parse_math": False,  # questions may hold dollar signs
    "svg.hashsalt": "egolib",
}


class Drawing(Figure):
    """A figure that notebooks show as it is, whatever matplotlib back end they use."""

    def __init__(self, height_inch: float, width_inch: float = WIDTH_INCH):
        super().__init__(figsize=(width_inch, height_inch), dpi=120, layout="constrained")

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()

    def _repr_mimebundle_(self, **wanted: Any) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The picture, and the numbers of its curves beside it, for pages."""
        from egolib.viz.readout import curves

        data = {"image/png": self._repr_png_()}
        return data, {"image/png": {"curves": found} if (found := curves(self)) else {}}


def look() -> Any:
    """A context in which axes are made in our style; global settings stay as they were."""
    return rc_context(_LOOK)


def colours(count: int) -> list[str]:
    """That many colours; they repeat after seven."""
    return list(islice(cycle(PALETTE), count))


def save(figure: Figure, out: str | Path) -> Path:
    """Saves a figure as png, svg or pdf, whole or not at all.

    Raises:
        EgolibError: the suffix is another one, or the target cannot be written.
    """
    out = check_target(out)
    kind = out.suffix.lower()
    if kind not in FORMATS:
        raise EgolibError(
            f"a figure cannot be saved as {kind or 'a file without suffix'}",
            file=out,
            remedy=f"use {', '.join(FORMATS)}",
        )
    dateless = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with atomic_path(out) as temporary, look():
        figure.savefig(temporary, format=kind[1:], metadata=dateless[kind])
    return out


def show_image(axes: Axes, image: NDArray[np.uint8], title: str = "") -> None:
    """An (H, W, 3) uint8 RGB image without ticks, in its own aspect ratio.

    Args:
        axes: to draw on.
        image: (H, W, 3) uint8 RGB.
        title: above the image.
    """
    axes.imshow(image, interpolation="bilinear", aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, pad=2)


def show_box(
    axes: Axes,
    box_xyxy: Sequence[float] | NDArray[Any],
    colour: str,
    *,
    dashed: bool = False,
    label: str = "",
) -> None:
    """A box with a white rim, so that it is seen on any picture, and a label above it.

    The label of a box at the picture's upper edge stands inside.

    Args:
        axes: to draw on.
        box_xyxy: (4,) pixels.
        colour: of the box.
        dashed: whether its line is dashed.
        label: above the box.
    """
    left, top, right, bottom = (float(value) for value in box_xyxy)
    corners_x, corners_y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    style = (0, (3, 1.5)) if dashed else "-"
    axes.plot(corners_x, corners_y, color="white", linewidth=2.6, alpha=0.8, zorder=3)
    axes.plot(corners_x, corners_y, color=colour, linewidth=1.4, linestyle=style, zorder=4)
    if label:
        low, high = sorted(axes.get_ylim())
        inside = top < low + 0.08 * (high - low)
        background = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
        place: Any = {"va": "top" if inside else "bottom", "zorder": 5, "clip_on": True}
        axes.text(left, max(top, low), label, color="white", fontsize=6, bbox=background, **place)


def beside(axes: Axes, text: str, point: tuple[float, float], colour: str, size: int = 7) -> None:
    """A small text to the right of a point.

    Args:
        axes: to draw on.
        text: what is written.
        point: (x, y) in data coordinates.
        colour: of the text.
        size: of the text in points.
    """
    place: Any = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
    axes.annotate(text, point, color=colour, fontsize=size, **place)


def true_patch(**options: Any) -> dict[str, Any]:
    """How true stretches of time are drawn: hatched, on white."""
    return {"facecolor": "white", "edgecolor": TRUE, "hatch": _HATCH, "linewidth": 0.8} | options


def brief(text: str, width: int = 60) -> str:
    """A text cut at a word, for labels."""
    return shorten(text, width, placeholder=" …")
