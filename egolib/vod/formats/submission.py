"""Detections on disk: our safe file, the official pickle by option, and COCO's JSON.

F frames; K classes; P detections.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.pickles import read_pickle
from egolib.io.records import atomic_path, read_json, write_json
from egolib.metrics.detection import Boxes, predictions_from_lists
from egolib.ops.boxes_numpy import from_xywh, to_xywh
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


def write(path: str | Path, detections: DetectionSet) -> Path:
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


def read(
    path: str | Path,
    image_id: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    category_ids: Sequence[int] = (),
) -> DetectionSet:
    """Reads our file, COCO's JSON, or an official pickle without executing anything in it.

    Args:
        path: ``.npz``, ``.json`` or any other name for a pickle; mmtracking's
            ``{"det_bboxes": [...]}`` is accepted.
        image_id: (F,) ids of the frames in the order of testing. A pickle names no frames,
            and COCO's JSON none without detections; None takes what there is.
        class_names: in label order; the two name none.
        category_ids: of every label, for COCO's JSON; none takes those that occur.

    Raises:
        EgolibError: unreadable, or other frames or classes than given.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return _read_own(path)
    if path.suffix == ".json":
        return _read_coco(path, image_id, class_names, category_ids)
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


def join(parts: Sequence[DetectionSet], class_names: tuple[str, ...]) -> DetectionSet:
    """Detections of several videos as one set, in their order."""
    starts = [0, *accumulate(len(part.image_id) for part in parts)]
    frames = [part.boxes.frame + start for part, start in zip(parts, starts, strict=False)]
    boxes = Boxes(
        _joined(frames, (0,), np.int64),
        _joined([p.boxes.label for p in parts], (0,), np.int64),
        _joined([p.boxes.box for p in parts], (0, 4), np.float32),
        _joined([p.boxes.score for p in parts], (0,), np.float32),
    )
    return DetectionSet(boxes, _joined([p.image_id for p in parts], (0,), np.int64), class_names)


def _joined(arrays: list[np.ndarray], empty: tuple[int, ...], kind: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(empty, kind)


def _read_own(path: Path) -> DetectionSet:
    if not path.is_file():
        raise EgolibError("the results file does not exist", file=path)
    try:
        with np.load(path, allow_pickle=False) as a:
            boxes = Boxes(a["frame"], a["label"], a["box"], a["score"])
            return DetectionSet(boxes, a["image_id"], tuple(a["class_names"].tolist()))
    except (KeyError, ValueError, OSError) as error:
        raise EgolibError(f"not a results file of egolib: {error}", file=path) from error


def _read_coco(
    path: Path,
    image_id: np.ndarray | None,
    class_names: Sequence[str],
    category_ids: Sequence[int],
) -> DetectionSet:
    entries = read_json(path, list)
    try:
        images = np.array([entry["image_id"] for entry in entries], np.int64)
        categories = np.array([entry["category_id"] for entry in entries], np.int64)
        xywh = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
        scores = np.array([entry["score"] for entry in entries], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise EgolibError(f"not COCO's list of detections: {error!r}", file=path) from error
    ids = np.unique(images) if image_id is None else np.asarray(image_id, np.int64)
    known = list(category_ids) or np.unique(categories).tolist()
    frame = _places(images, ids, "image", path)
    label = _places(categories, np.array(known, np.int64), "category", path)
    order = np.argsort(frame, kind="stable")
    boxes = from_xywh(xywh).astype(np.float32)
    found = Boxes(frame[order], label[order], boxes[order], scores[order])
    return DetectionSet(found, ids, tuple(class_names) or tuple(str(i) for i in known))


def _places(values: np.ndarray, known: np.ndarray, what: str, path: Path) -> np.ndarray:
    """The place of every value among the known ones, which may be in any order."""
    order = np.argsort(known)
    place: np.ndarray = order[
        np.searchsorted(known[order], values).clip(max=max(len(known) - 1, 0))
    ]
    wrong = known[place] != values if len(known) else np.ones(len(values), bool)
    if wrong.any():
        first = int(values[np.flatnonzero(wrong)[0]])
        raise EgolibError(
            f"a detection of a {what} that the data set lacks",
            file=path,
            record=f"{what} {first}",
        )
    return place


def coco_entries(detections: DetectionSet, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """COCO's list of detections, boxes as (x, y, width, height).

    Args:
        detections: what is written.
        category_ids: id of every label.
    """
    boxes = detections.boxes
    xywh = to_xywh(boxes.box)
    return [
        {
            "image_id": int(detections.image_id[frame]),
            "bbox": [float(v) for v in box],
            "score": float(score),
            "category_id": int(category_ids[label]),
        }
        for frame, box, score, label in zip(
            boxes.frame, xywh, boxes.score, boxes.label, strict=True
        )
    ]


def write_coco(prefix: str | Path, detections: DetectionSet, category_ids: Sequence[int]) -> Path:
    """Writes ``<prefix>.bbox.json``.

    Args:
        prefix: of the path.
        detections: what is written.
        category_ids: id of every label.
    """
    return write_json(f"{prefix}.bbox.json", coco_entries(detections, category_ids))


def validate(detections: DetectionSet, image_id: np.ndarray, class_names: Sequence[str]) -> None:
    """Checks a set against the data set that it is for.

    Args:
        detections: what is checked.
        image_id: (F,) ids of the frames.
        class_names: in label order.

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


def validate_file(submission: str | Path, truth: str | Path | None = None) -> str:
    """Checks a results file, against a CocoVID file where one is given; says what it holds.

    Raises:
        EgolibError: naming the first frame or detection that is wrong.
    """
    index = None if truth is None else read_index(truth)
    ids = None if index is None else index.image_id
    names = () if index is None else index.class_names()
    categories = () if index is None else tuple(index.category_id.tolist())
    detections = read(submission, ids, names, categories)
    validate(
        detections,
        detections.image_id if ids is None else ids,
        names or detections.class_names,
    )
    frames, found = len(detections.image_id), len(detections.boxes)
    classes = len(detections.class_names)
    return f"{submission}: {found} detections in {frames} frames, {classes} classes"
