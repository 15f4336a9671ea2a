"""Predicted tracks: boxes over consecutive clip frames, and their JSON form.

Legend: N frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Followed:
    """What a tracker returns.

    Args:
        rows: (N, 5) int (frame, x1, y1, x2, y2), frames ascending and consecutive.
        responses: (N,) float, how sure the tracker was in each frame; 1 where it started.
    """

    rows: np.ndarray
    responses: np.ndarray


@dataclass(frozen=True)
class Track:
    """One box a frame.

    Args:
        frames: (N,) int, clip frames, ascending.
        boxes_xyxy: (N, 4) float, pixels of the annotated frame.
        score: confidence of the whole track.
    """

    frames: np.ndarray
    boxes_xyxy: np.ndarray
    score: float = 1.0

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def empty(cls) -> Track:
        """No answer: no box and score 0."""
        return cls(np.zeros(0, np.int64), np.zeros((0, 4)), 0.0)

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float]] | np.ndarray, score: float = 1.0) -> Track:
        """From rows (frame, x1, y1, x2, y2) in any order."""
        table = np.asarray(rows, np.float64).reshape(-1, 5)
        table = table[np.argsort(table[:, 0], kind="stable")]
        return cls(table[:, 0].astype(np.int64), table[:, 1:], score)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Track:
        """From ``{bboxes: [{fno, x1, x2, y1, y2}, ...], score}``."""
        rows = [[box[name] for name in ("fno", "x1", "y1", "x2", "y2")] for box in record["bboxes"]]
        return cls.from_rows(rows, float(record["score"]))

    def to_json(self) -> dict[str, Any]:
        """``{bboxes, score}`` with integers by truncation, as submissions want them."""
        corners = self.boxes_xyxy.astype(np.int64)  # truncates towards zero
        bboxes = [
            {"fno": int(frame), "x1": int(x1), "x2": int(x2), "y1": int(y1), "y2": int(y2)}
            for frame, (x1, y1, x2, y2) in zip(self.frames, corners, strict=True)
        ]
        return {"bboxes": bboxes, "score": float(self.score)}
