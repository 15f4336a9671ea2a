"""Detections on disk: our safe file, the official pickle by option, and COCO's JSON.

F frames; K classes; P detections.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.pickles import read_pickle
from egolib.io.records import atomic_path, write_json
from egolib.metrics.detection import Boxes, predictions_from_lists
from egolib.vod.data.index import read_index

VERSION = 1


@dataclass(frozen=True)
class DetectionSet:
    """Detections of a data set.

    Args:
        boxes: all of them, in original pixels, frames in the order of ``image_id``.
        image_id: (F,) int64 ids of the frames, in the order of testing.
        class_names: in label order.
    """

    boxes: Boxes
    image_id: np.ndarray
    class_names: tuple[str, ...]

    def lists(self) -> list[list[np.ndarray]]:
        """The official layout: for every frame K arrays (n, 5) of x1, y1, x2, y2, score."""
        table = np.column_stack([self.boxes.box, self.boxes.score]).astype(np.float32)
        bounds = np.searchsorted(self.boxes.frame, np.arange(len(self.image_id) + 1))
        return [
            [
                table[start:end][self.boxes.label[start:end] == label]
                for label in range(len(self.class_names))
            ]
            for start, end in pairwise(bounds)
        ]


def write_detections(path: str | Path, detections: DetectionSet) -> Path:
    """Writes a set: ``.npz`` in our format, ``.pkl`` or ``.pickle`` in the official one.

    Raises:
        EgolibError: another suffix.
    """
    path = Path(path)
    if path.suffix in (".pkl", ".pickle"):
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            pickle.dump(detections.lists(), stream)
    elif path.suffix == ".npz":
        boxes = detections.boxes
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(
                stream,
                version=VERSION,
                frame=boxes.frame,
                label=boxes.label,
                box=boxes.box,
                score=boxes.score,
                image_id=detections.image_id,
                class_names=np.array(detections.class_names),
            )
    else:
        raise EgolibError(
            "unknown kind of results file", file=path, remedy="end the name with .npz or .pkl"
        )
    return path


def read_detections(
    path: str | Path,
    image_id: np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> DetectionSet:
    """Reads our file, or an official pickle without executing anything in it.

    Args:
        image_id, class_names: frames and classes of an official pickle, which names
            neither; mmtracking's ``{"det_bboxes": [...]}`` is accepted.

    Raises:
        EgolibError: unreadable, or another number of frames or classes than given.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return _read_own(path)
    content = read_pickle(path)
    if isinstance(content, dict):
        content = content.get("det_bboxes", content.get("bbox_results"))
    if not isinstance(content, list) or any(not isinstance(f, list) for f in content):
        raise EgolibError("not a results pickle: expected a list of lists of arrays", file=path)
    ids = np.arange(1, len(content) + 1) if image_id is None else np.asarray(image_id)
    if len(content) != len(ids):
        raise EgolibError(f"{len(content)} frames, the data set has {len(ids)}", file=path)
    classes = {len(frame) for frame in content}
    if class_names and classes - {len(class_names)}:
        raise EgolibError(f"{classes} classes, expected {len(class_names)}", file=path)
    names = tuple(class_names) or tuple(str(i) for i in range(max(classes, default=0)))
    return DetectionSet(predictions_from_lists(content), ids, names)


def _read_own(path: Path) -> DetectionSet:
    if not path.is_file():
        raise EgolibError("the results file does not exist", file=path)
    try:
        with np.load(path, allow_pickle=False) as a:
            boxes = Boxes(a["frame"], a["label"], a["box"], a["score"])
            return DetectionSet(boxes, a["image_id"], tuple(a["class_names"].tolist()))
    except (KeyError, ValueError, OSError) as error:
        raise EgolibError(f"not a results file of ours: {error}", file=path) from error


def coco_entries(detections: DetectionSet, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """COCO's list of detections, boxes as (x, y, width, height).

    Args:
        category_ids: id of every label.
    """
    boxes = detections.boxes
    xywh = np.concatenate([boxes.box[:, :2], boxes.box[:, 2:] - boxes.box[:, :2]], axis=1)
    return [
        {
            "image_id": int(detections.image_id[frame]),
            "bbox": [float(v) for v in box],
            "score": float(score),
            "category_id": int(category_ids[label]),
        }
        for frame, box, score, label in zip(boxes.frame, xywh, boxes.score, boxes.label)
    ]


def write_coco(prefix: str | Path, detections: DetectionSet, category_ids: Sequence[int]) -> Path:
    """Writes ``<prefix>.bbox.json``."""
    return write_json(f"{prefix}.bbox.json", coco_entries(detections, category_ids))


def validate(detections: DetectionSet, image_id: np.ndarray, class_names: Sequence[str]) -> None:
    """Checks a set against the data set that it is for.

    Raises:
        EgolibError: naming the first frame or detection that is wrong.
    """
    if tuple(class_names) != detections.class_names:
        raise EgolibError(f"classes {detections.class_names} instead of {tuple(class_names)}")
    missing = sorted(set(image_id.tolist()) - set(detections.image_id.tolist()))
    if missing:
        raise EgolibError(f"{len(missing)} frames have no results", record=f"image {missing[0]}")
    boxes = detections.boxes
    bad = ~np.isfinite(boxes.box).all(axis=1) | ~np.isfinite(boxes.score)
    bad |= (boxes.score < 0) | (boxes.score > 1) | (boxes.box[:, 2:] < boxes.box[:, :2]).any(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        image = int(detections.image_id[boxes.frame[first]])
        raise EgolibError(
            f"detection {boxes.box[first].tolist()} with score {boxes.score[first]} is impossible",
            record=f"image {image}",
        )


def validate_file(path: str | Path, truth: str | Path | None = None) -> str:
    """Checks a results file, against a CocoVID file where one is given; says what it holds.

    Raises:
        EgolibError: naming the first frame or detection that is wrong.
    """
    index = None if truth is None else read_index(truth)
    ids = None if index is None else index.image_id
    names = () if index is None else index.class_names()
    detections = read_detections(path, ids, names)
    validate(
        detections,
        detections.image_id if ids is None else ids,
        names or detections.class_names,
    )
    frames, found = len(detections.image_id), len(detections.boxes)
    return f"{path}: {found} detections in {frames} frames, {len(detections.class_names)} classes"
