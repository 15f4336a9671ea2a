"""The built-in world: a small drawn egocentric world in the official file formats.

``make("mini", folder)`` draws it; the folder then is a data root like the real
one. No task and no torch is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from egolib.world.library import World
    from egolib.world.settings import WorldSettings
    from egolib.world.visibility import Truth


def make(
    preset: str | WorldSettings, out: str | Path, workers: int = 1, seed: int | None = None
) -> pd.DataFrame:
    """Makes the world of a preset in a folder and returns its manifest; see ``build.make``.

    Args:
        preset: whose section ``world`` is drawn.
        out: folder of the world.
        workers: processes that draw.
        seed: of the world; None for the preset's.
    """
    from egolib.world import build

    return build.make(preset, out, workers, seed)


def load(path: str | Path) -> World:
    """A finished world in a folder: its settings, videos, logs and truths."""
    from egolib.world import build

    return build.open_world(path)


def manifest(path: str | Path) -> pd.DataFrame:
    """The manifest of a finished world: one row a video, with checksums."""
    from egolib.world.checksums import read_manifest

    return read_manifest(Path(path) / "manifest.csv")


def truth(path: str | Path, uid: str) -> Truth:
    """Ground truth of one video: boxes, masks, camera, event log, degradation flags."""
    from egolib.world.library import truth_path
    from egolib.world.visibility import read_truth

    return read_truth(truth_path(Path(path), uid))
