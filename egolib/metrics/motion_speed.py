"""How fast objects move: mean IoU of a box with its own boxes in nearby frames (FGFA).

F frames; A boxes of all frames. 1 means standing still; the metric calls boxes at or
below 0.7 fast, between 0.7 and 0.9 medium, from 0.9 on slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.mat_files import load_mat
from egolib.io.records import atomic_path
from egolib.ops.boxes_numpy import paired_iou

WINDOW = 10  # frames before and after


@dataclass(frozen=True)
class MotionTable:
    """Motion of every true box, frame by frame.

    Args:
        values: (A,) float64, the boxes of frame 0 first, in annotation order.
        counts: (F,) int64, boxes of every frame.
    """

    values: np.ndarray
    counts: np.ndarray

    def entries(self) -> np.ndarray:
        """All values and one 0 for every frame without boxes, as the metric counts them."""
        return np.concatenate([self.values, np.zeros(int((self.counts == 0).sum()))])

    def rows(self) -> list[np.ndarray]:
        """One array a frame."""
        return np.split(self.values, np.cumsum(self.counts)[:-1])


def table_from_rows(rows: Sequence[Sequence[float]]) -> MotionTable:
    """A table from one sequence a frame."""
    counts = np.array([len(row) for row in rows], np.int64)
    values = np.array([v for row in rows for v in row], np.float64)
    return MotionTable(values, counts)


def read_motion(path: str | Path) -> MotionTable:
    """A table from the official ``.mat`` file or from our ``.npz``.

    Raises:
        EgolibError: missing, or of another layout.
    """
    path = Path(path)
    if not path.is_file():
        raise EgolibError(
            "the motion table is missing",
            file=path,
            remedy="leave data.motion empty to compute it from the tracks",
        )
    try:
        table = _read_npz(path) if path.suffix == ".npz" else _read_mat(path)
    except EgolibError:
        raise
    except Exception as error:  # a damaged archive can raise nearly anything
        raise EgolibError(f"not a readable motion table: {error}", file=path) from error
    bad = np.flatnonzero(~((table.values >= 0) & (table.values <= 1)))
    if len(bad):
        raise EgolibError(
            f"an IoU from 0 to 1 is wanted, found {table.values[bad[0]]}",
            file=path,
            record=f"box {bad[0]}",
        )
    return table


def _read_npz(path: Path) -> MotionTable:
    with np.load(path, allow_pickle=False) as arrays:
        values, counts = arrays["values"], arrays["counts"]
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"counts {counts.shape} of {counts.dtype}")
    if values.shape != (counts.sum(),) or values.dtype.kind != "f":
        raise ValueError(f"values {values.shape} of {values.dtype} for {counts.sum()} boxes")
    return MotionTable(values, counts)


def _read_mat(path: Path) -> MotionTable:
    return table_from_rows([_flat(entry) for entry in load_mat(path, "motion_iou")[:, 0]])


def write_motion(path: str | Path, table: MotionTable) -> Path:
    """Writes a table as ``.npz``."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, values=table.values, counts=table.counts)
    return Path(path)


def _flat(entry: np.ndarray) -> list[float]:
    """Numbers of a nested MATLAB cell, in order."""
    if entry.dtype == object:
        return [value for part in entry.ravel() for value in _flat(np.asarray(part))]
    return [float(value) for value in entry.ravel()]


def motion_from_tracks(
    frame: np.ndarray,
    video: np.ndarray,
    owner: np.ndarray,
    instance: np.ndarray,
    boxes: np.ndarray,
    window: int = WINDOW,
) -> MotionTable:
    """The table of a data set with tracks.

    For data sets without an official table. FGFA's definition; whether rounding and
    borders agree with the official table cannot be checked without the real data.

    Args:
        frame: (F,) place of every frame in its video.
        video: (F,) the video of every frame.
        owner: (A,) frame of every box, ascending.
        instance: (A,) its track, unique over all videos.
        boxes: (A, 4) xyxy.
        window: frames before and after that count.

    Returns:
        A box without another box of its track nearby has motion IoU 1.
    """
    total, near = np.zeros(len(owner)), np.zeros(len(owner))
    order = np.lexsort([frame[owner], instance])
    places, tracks = frame[owner][order], instance[order]
    ordered = boxes[order].astype(np.float64)
    for step in range(1, window + 1):  # the box `step` entries later may lie nearer in time
        a, b = np.arange(len(order) - step), np.arange(step, len(order))
        close = (tracks[a] == tracks[b]) & (places[b] - places[a] <= window)
        close &= places[b] > places[a]
        a, b = a[close], b[close]
        overlap = paired_iou(ordered[a], ordered[b])
        for side in (a, b):
            np.add.at(total, order[side], overlap)
            np.add.at(near, order[side], 1)
    values = np.where(near > 0, total / np.maximum(near, 1), 1.0)
    return MotionTable(values, np.bincount(owner, minlength=len(video)).astype(np.int64))
