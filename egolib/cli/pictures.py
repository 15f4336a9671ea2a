"""``egolib world figure``: frames of a world as one small picture."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from egolib import world
from egolib.errors import EgolibError
from egolib.io.records import atomic_path
from egolib.runs.places import default_data_root
from egolib.viz.style import look
from egolib.world import figures

COLOURS = 256  # of the palette: a quarter of the size, and nothing that one sees


def draw_world(preset: str, out: str | Path) -> Path:
    """Writes frames of a finished world with their boxes as PNG; returns the file.

    Raises:
        EgolibError: the world is not there, or the file is no PNG.
    """
    out = Path(out)
    if out.suffix.lower() != ".png":
        raise EgolibError("the figure is a PNG", file=out, remedy="end the name with .png")
    root = default_data_root(preset)
    if not root.is_dir():
        raise EgolibError("no world here", file=root, remedy=f"egolib world make --preset {preset}")
    figure = figures.frames(world.load(root))
    buffer = io.BytesIO()
    with look():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = Image.open(buffer).convert("RGB").quantize(COLOURS)
    with atomic_path(out) as temporary:
        picture.save(temporary, format="png", optimize=True)
    return out
