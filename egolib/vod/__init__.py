"""Video object detection on ImageNet VID: nine detectors, their data and their metric.

detector = vod.load("checkpoint.safetensors")
for frame in detector.detect("kitchen.mp4", fps=5):
    print(frame.frame, frame.labels, frame.scores)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egolib.runs.step import Step
    from egolib.vod.api import Detector
    from egolib.vod.config import Config


def load(name: str | Path | None = None, **options: Any) -> Detector:
    """A detector from a checkpoint of ours or an official file; see ``egolib.vod.api.load``."""
    from egolib.vod.api import load as load_detector

    return load_detector(name, **options)


def start(name: str, **parameters: Any) -> Step[Config]:
    """The step that a notebook's parameters describe; see ``egolib.runs.session.start``."""
    from egolib.runs.session import start as start_step
    from egolib.vod.config import Config

    return start_step(Config, "vod", name, **parameters)
