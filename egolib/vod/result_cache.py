"""Detections of finished videos on disk, so that a stopped inference goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.detection import Boxes
from egolib.vod.formats.submission import DetectionSet, read_detections, write_detections


class KeptDetections:
    """One file a video (or chain of videos that share a memory) below a folder.

    Args:
        folder: named by everything that decides the detections; other folders beside it
            are of other weights or settings, and removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other)

    def get(self, name: str, image_id: Sequence[int]) -> DetectionSet | None:
        """What was kept under a name; None where there is nothing of exactly these images."""
        try:
            found = read_detections(self._file(name))
        except EgolibError:
            return None
        return found if found.image_id.tolist() == list(image_id) else None

    def put(self, name: str, detections: DetectionSet) -> None:
        """Keeps a finished video."""
        write_detections(self._file(name), detections)

    def clear(self) -> None:
        """Removes everything, once the whole set is written."""
        shutil.rmtree(self.folder.parent)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name.replace('/', '_')}.npz"


def join(parts: Sequence[DetectionSet], class_names: tuple[str, ...]) -> DetectionSet:
    """Detections of several videos as one set, in their order."""
    starts = [0, *accumulate(len(part.image_id) for part in parts)]
    boxes = Boxes(
        _joined([p.boxes.frame + start for p, start in zip(parts, starts)], (0,), np.int64),
        _joined([p.boxes.label for p in parts], (0,), np.int64),
        _joined([p.boxes.box for p in parts], (0, 4), np.float32),
        _joined([p.boxes.score for p in parts], (0,), np.float32),
    )
    return DetectionSet(boxes, _joined([p.image_id for p in parts], (0,), np.int64), class_names)


def _joined(arrays: list[np.ndarray], empty: tuple[int, ...], kind: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(empty, kind)
