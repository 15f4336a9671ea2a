"""Natural-language queries: GroundNLQ. Given a clip and a question, ranked time windows.

model = nlq.load("checkpoint.safetensors")
moments = model.ground(features, "Where did I put the keys?", text_encoder=encoder)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egolib.nlq.api import Grounder
    from egolib.nlq.config import Config
    from egolib.runs.step import Step


def load(name: str | Path | None = None, **options: Any) -> Grounder:
    """A grounder from a path, a run of ours or the Hub; see ``egolib.nlq.api.load``."""
    from egolib.nlq.api import load as load_grounder

    return load_grounder(name, **options)


def start(name: str, **parameters: Any) -> Step[Config]:
    """The step that a notebook's parameters describe; see ``egolib.runs.session.start``."""
    from egolib.nlq.config import Config
    from egolib.runs.session import start as start_step

    return start_step(Config, "nlq", name, **parameters)
