"""Visual queries with 2D localisation: where was this object last seen?

locator = vq2d.load("path/to/model", tracker="path/to/kys.pth")
track = locator.locate("video.mp4", crop, until=900)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egolib.runs.step import Step
    from egolib.vq2d.api import Locator
    from egolib.vq2d.config import Config


def load(model_root: str | None = None, **options: Any) -> Locator:
    """A locator from an official folder or a checkpoint of ours; see ``egolib.vq2d.api.load``."""
    from egolib.vq2d.api import load as load_locator

    return load_locator(model_root, **options)


def start(name: str, **parameters: Any) -> Step[Config]:
    """The step that a notebook's parameters describe; see ``egolib.runs.session.start``."""
    from egolib.runs.session import start as start_step
    from egolib.vq2d.config import Config

    return start_step(Config, "vq2d", name, **parameters)
