"""Detection caches: for each query, the boxes and scores of every frame before it.

Legend: F frames, L boxes of all frames.

A cache is a folder with one file per query, named by its key
(``<annotation_uid>_<query_set>``). Three forms are read:

``.npz`` (egolib's result cache, whose ``key.json`` says what the numbers rest on)
    ``counts`` (F,) int64 boxes of each frame, ``boxes_xyxy`` (L, 4) float32 in pixels of
    the annotated frame, ``scores`` (L,) float64, descending in each frame.
``.json`` (easy to write by hand or from any detector)
    ``{"frames": [{"boxes": [[x1, y1, x2, y2], ...], "scores": [...]}, ...]}``
``.pt`` (official)
    a pickle of ``ret_bboxes`` and ``ret_scores``; read without running what is in it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.pickles import RestrictedPickle
from egolib.io.records import read_json
from egolib.io.schema import validated
from egolib.runs.result_cache import ResultCache
from egolib.vq2d.data.schema import DetectionCache

SUFFIXES = (".npz", ".pt", ".json")
ARRAYS = ("counts", "boxes_xyxy", "scores")


@dataclass(frozen=True)
class Detections:
    """Scored boxes of the frames 0, 1, ... before a query.

    Args:
        counts: (F,) int64, boxes of each frame.
        boxes_xyxy: (L, 4) float, frame after frame, pixels of the annotated frame.
        scores: (L,) float64, descending in each frame.
    """

    counts: np.ndarray
    boxes_xyxy: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    @cached_property
    def starts(self) -> np.ndarray:
        """(F + 1,) row of each frame's first box."""
        return np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)

    def frame(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) and scores (n,) of one frame, best first."""
        rows = slice(self.starts[number], self.starts[number + 1])
        return self.boxes_xyxy[rows], self.scores[rows]

    @cached_property
    def best(self) -> np.ndarray:
        """(F,) best score of each frame, 0 where it has no box."""
        result = np.zeros(len(self), np.float64)
        filled = self.counts > 0
        if filled.any():
            result[filled] = np.maximum.reduceat(self.scores, self.starts[:-1][filled])
        return result

    @classmethod
    def from_frames(
        cls,
        boxes: Sequence[Sequence[Sequence[float]]],
        scores: Sequence[Sequence[float]],
        file: str | Path | None = None,
    ) -> Detections:
        """From lists by frame.

        Args:
            boxes: by frame, (x1, y1, x2, y2) each.
            scores: by frame.
            file: where they are from, for errors.

        Raises:
            EgolibError: other numbers of frames, or of boxes and scores in one.
        """
        counts = np.array([len(frame) for frame in scores], np.int64)
        if len(boxes) != len(scores):
            raise EgolibError(f"boxes of {len(boxes)} frames, scores of {len(scores)}", file=file)
        unequal = [n for n, frame in enumerate(boxes) if len(frame) != counts[n]]
        if unequal:
            raise EgolibError(
                "unequal numbers of boxes and scores", file=file, record=f"frames[{unequal[0]}]"
            )
        flat_boxes = [box for frame in boxes for box in frame]
        flat_scores = [score for frame in scores for score in frame]
        return cls(
            counts,
            np.array(flat_boxes, np.float64).reshape(-1, 4),
            np.array(flat_scores, np.float64),
        )

    def check(self, query_frame: int, file: str | Path) -> Detections:
        """Raises EgolibError unless there is one frame for each before the query."""
        if len(self) != query_frame:
            raise EgolibError(
                f"the cache holds {len(self)} frames, the query comes at frame {query_frame}",
                file=file,
                remedy="remove the file and run step 1 again; it may be of another release",
            )
        finite = np.isfinite(self.scores) & np.isfinite(self.boxes_xyxy).all(1)
        inverted = (self.boxes_xyxy[:, 2:] < self.boxes_xyxy[:, :2]).any(1)
        wrong = ~finite | inverted | (self.scores < 0)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            frame = int(np.searchsorted(self.starts, row, "right")) - 1
            raise EgolibError(
                f"the box {self.boxes_xyxy[row].tolist()} with score {self.scores[row]}: corners "
                "in order are wanted, finite numbers, and a score of 0 or more",
                file=file,
                record=f"frames[{frame}]",
            )
        return self


# ------------------------------------------------------------------------- writing


def put(cache: ResultCache, key: str, detections: Detections) -> Path:
    """Keeps the detections of a query in a result cache; returns the file's path.

    Args:
        cache: of the detector and its settings.
        key: of the query.
        detections: of the frames before it.
    """
    return cache.put(
        key,
        counts=detections.counts.astype(np.int64),
        boxes_xyxy=np.ascontiguousarray(detections.boxes_xyxy, np.float32),
        scores=detections.scores.astype(np.float64),
    )


# ------------------------------------------------------------------------- reading


def find(folder: str | Path, key: str) -> Path | None:
    """The file of a query in any of the three forms; None where there is none."""
    for suffix in SUFFIXES:
        path = Path(folder) / f"{key}{suffix}"
        if path.is_file():
            return path
    return None


def read(folder: str | Path, key: str, query_frame: int) -> Detections:
    """The detections of a query.

    Args:
        folder: of the cache.
        key: of the query.
        query_frame: frames that the query asks for.

    Raises:
        EgolibError: absent, damaged, or of another length than the query asks for.
    """
    path = find(folder, key)
    if path is None:
        raise EgolibError(
            "no detections of this query", file=folder, record=key, remedy="run step 1 for it"
        )
    readers = {".npz": _read_arrays, ".json": _read_json, ".pt": read_official}
    return readers[path.suffix](path).check(query_frame, path)


def _read_arrays(path: Path) -> Detections:
    try:
        with np.load(path, allow_pickle=False) as file:
            counts, boxes, scores = (file[name] for name in ARRAYS)
        _check_arrays(counts, boxes, scores)
    except Exception as error:  # a damaged archive can raise nearly anything
        raise _damaged(path, error) from error
    return Detections(counts, boxes.astype(np.float64), scores)


def _check_arrays(counts: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> None:
    """Raises ValueError where the arrays of a cache do not belong together."""
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(f"counts {counts.shape} of {counts.dtype}: whole numbers are wanted")
    total = int(counts.sum())
    for name, array, shape in (("boxes_xyxy", boxes, (total, 4)), ("scores", scores, (total,))):
        if array.shape != shape or array.dtype.kind != "f":
            raise ValueError(f"{name} {array.shape} of {array.dtype}: {shape} floats are wanted")


def _read_json(path: Path) -> Detections:
    return _sorted(_from_schema(read_json(path, dict), path))


def _from_schema(content: Any, path: Path) -> Detections:
    frames = validated(DetectionCache, content, file=path)["frames"]
    boxes, scores = ([frame[name] for frame in frames] for name in ("boxes", "scores"))
    return Detections.from_frames(boxes, scores, path)


class _OfficialBox:
    """Stands for ``vq2d.structures.BBox``."""

    fno: int
    x1: float
    y1: float
    x2: float
    y2: float


def read_official(path: str | Path) -> Detections:
    """An official ``.pt`` cache; only plain containers and boxes are built from it."""
    path = Path(path)
    content = _unpickle(path, RestrictedPickle({"vq2d.structures.BBox": _OfficialBox}, strict=True))
    try:
        boxes = [
            [[_plain(getattr(box, side)) for side in ("x1", "y1", "x2", "y2")] for box in frame]
            for frame in content["ret_bboxes"]
        ]
        scores = [[_plain(score) for score in frame] for frame in content["ret_scores"]]
        frames = [{"boxes": b, "scores": s} for b, s in zip(boxes, scores, strict=True)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, error) from error
    return _from_schema({"frames": frames}, path)


def _plain(value: Any) -> Any:
    """A number out of an array or a tensor of one."""
    return value.item() if hasattr(value, "item") else value


def _unpickle(path: Path, allowed: RestrictedPickle) -> Any:
    """The object in a torch archive, in torch's older layout, or in a plain pickle."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
                return allowed.loads(archive.read(name))
        with path.open("rb") as stream:
            content = allowed.load(stream)
            if isinstance(content, int):  # the older layout: magic, protocol, system, object
                content = [allowed.load(stream) for _ in range(3)][-1]
            return content
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise _damaged(path, error) from error


def _sorted(found: Detections) -> Detections:
    """Scores descending in each frame."""
    frame = np.repeat(np.arange(len(found)), found.counts)
    order = np.lexsort((-found.scores, frame))
    return Detections(found.counts, found.boxes_xyxy[order], found.scores[order])


def _damaged(path: Path, error: Exception) -> EgolibError:
    return EgolibError(
        f"not a readable detection cache: {error}",
        file=path,
        remedy="remove the file and run step 1 again for this query",
    )
