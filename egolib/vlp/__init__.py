"""Video-language pre-training on egocentric video: EgoVLPv2, its data, losses and metrics.

model = vlp.load("checkpoint.safetensors", tokenizer="roberta-base")
model.similarity("kitchen.mp4", ["#C C washes the pan", "#C C opens the door"]).scores
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egolib.runs.step import Step
    from egolib.vlp.api import VideoLanguage
    from egolib.vlp.config import Config


def load(name: str | None = None, **options: Any) -> VideoLanguage:
    """A model with ``embed_video``, ``embed_text`` and ``similarity``; see ``vlp.infer.load``."""
    from egolib.vlp.api import load as load_model

    return load_model(name, **options)


def start(name: str, **parameters: Any) -> Step[Config]:
    """The step that a notebook's parameters describe; see ``egolib.runs.session.start``."""
    from egolib.runs.session import start as start_step
    from egolib.vlp.config import Config

    return start_step(Config, "vlp", name, **parameters)
