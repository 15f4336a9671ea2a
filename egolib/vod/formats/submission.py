"""Detections on disk: our safe file, the official pickle by option, and COCO's JSON.

F frames; K classes; P detections.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.pickles import read_pickle
from egolib.io.records import atomic_path, read_records, suffix_of, write_json
from egolib.io.schema import validated
from egolib.metrics.detection import Boxes, predictions_from_lists
from egolib.ops.boxes_numpy import from_xywh, to_xywh
from egolib.vod.data.index import read_index
from egolib.vod.data.schema import CROSSING, Detection

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
    if suffix_of(path) in (".json", ".jsonl"):
        return _read_coco(path, image_id, class_names, category_ids)
    content = read_pickle(path)
    if isinstance(content, Mapping):
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
    return DetectionSet(_from_lists(content, path), ids, names)


def _from_lists(content: list[list[Any]], path: Path) -> Boxes:
    """The detections of frames by class; the error names the first frame that is wrong."""
    try:
        return predictions_from_lists(content)
    except EgolibError as error:
        for frame, classes in enumerate(content):
            try:
                predictions_from_lists([classes])
            except EgolibError as first:
                raise EgolibError(first.what, file=path, record=f"frame {frame}") from error
        raise


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
            arrays = {name: a[name] for name in (*_ARRAYS, "class_names")}
    except Exception as error:  # a damaged archive can raise nearly anything
        raise EgolibError(f"not a results file of egolib: {error}", file=path) from error
    _check_own(arrays, path)
    boxes = Boxes(*(arrays[name] for name in ("frame", "label", "box", "score")))
    return DetectionSet(boxes, arrays["image_id"], tuple(arrays["class_names"].tolist()))


_ARRAYS = {
    "frame": ("iu", 1),
    "label": ("iu", 1),
    "box": ("f", 2),
    "score": ("f", 1),
    "image_id": ("iu", 1),
}


def _check_own(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """The arrays of our file: kinds, shapes, frames in order and inside the set."""
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise EgolibError("different names are wanted", file=path, record="class_names")
    for name, (kinds, dimensions) in _ARRAYS.items():
        array = arrays[name]
        if array.dtype.kind not in kinds or array.ndim != dimensions:
            raise EgolibError(f"{array.shape} of {array.dtype}", file=path, record=name)
    frame, count = arrays["frame"], len(arrays["frame"])
    for name, shape in (("label", (count,)), ("box", (count, 4)), ("score", (count,))):
        if arrays[name].shape != shape:
            raise EgolibError(f"{arrays[name].shape} for {count} boxes", file=path, record=name)
    if count and (frame.min() < 0 or frame.max() >= len(arrays["image_id"])):
        raise EgolibError("a detection outside the frames", file=path, record="frame")
    if (np.diff(frame.astype(np.int64)) < 0).any():
        raise EgolibError("frames in ascending order are wanted", file=path, record="frame")


def _read_coco(
    path: Path,
    image_id: np.ndarray | None,
    class_names: Sequence[str],
    category_ids: Sequence[int],
) -> DetectionSet:
    entries = validated(list[Detection], read_records(path), file=path)
    images = np.array([entry["image_id"] for entry in entries], np.int64)
    categories = np.array([entry["category_id"] for entry in entries], np.int64)
    xywh = np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4)
    scores = np.array([entry["score"] for entry in entries], np.float32)
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


def in_class_order(
    detections: DetectionSet, class_names: Sequence[str], *, file: str | Path | None = None
) -> DetectionSet:
    """The set with its labels in the order of these classes, which are matched by name.

    Args:
        detections: to order.
        class_names: the order.
        file: for errors.

    Raises:
        EgolibError: other classes, or a label beyond them.
    """
    own, label = detections.class_names, detections.boxes.label
    if len(label) and not (label.min() >= 0 and label.max() < len(own)):
        wrong = label.max() if label.max() >= len(own) else label.min()
        raise EgolibError(
            f"a detection has the label {wrong}, there are {len(own)} classes", file=file
        )
    if own == tuple(class_names):
        return detections
    if sorted(own) != sorted(class_names):
        raise EgolibError(
            f"the classes are {own}, those of the data set {tuple(class_names)}", file=file
        )
    place = np.array([class_names.index(name) for name in own], label.dtype)
    boxes = replace(detections.boxes, label=place[label])
    return DetectionSet(boxes, detections.image_id, tuple(class_names))


def validate(
    detections: DetectionSet,
    image_id: np.ndarray,
    class_names: Sequence[str],
    *,
    file: str | Path | None = None,
) -> None:
    """Checks a set against the data set that it is for.

    Args:
        detections: what is checked.
        image_id: (F,) ids of the frames.
        class_names: in label order.
        file: where the detections are from.

    Raises:
        EgolibError: naming the first frame or detection that is wrong.
    """
    given, counts = np.unique(detections.image_id, return_counts=True)
    if (counts > 1).any():
        first = int(given[counts > 1][0])
        raise EgolibError("an image stands twice", file=file, record=f"image {first}")
    if tuple(class_names) != detections.class_names:
        raise EgolibError(
            f"classes {detections.class_names} instead of {tuple(class_names)}", file=file
        )
    missing = sorted(set(image_id.tolist()) - set(detections.image_id.tolist()))
    if missing:
        raise EgolibError(
            f"{len(missing)} frames have no results", file=file, record=f"image {missing[0]}"
        )
    boxes = detections.boxes
    bad = ~np.isfinite(boxes.box).all(axis=1) | ~np.isfinite(boxes.score)
    bad |= (boxes.score < 0) | (boxes.score > 1)
    bad |= (boxes.box[:, :2] - boxes.box[:, 2:] > CROSSING).any(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        image = int(detections.image_id[boxes.frame[first]])
        raise EgolibError(
            f"detection {boxes.box[first].tolist()} with score {boxes.score[first]} is impossible: "
            "finite corners in order and a score from 0 to 1 are wanted, no NaN",
            file=file,
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
    names = names or detections.class_names
    detections = in_class_order(detections, names, file=submission)
    validate(detections, detections.image_id if ids is None else ids, names, file=submission)
    frames, found = len(detections.image_id), len(detections.boxes)
    classes = len(detections.class_names)
    return f"{submission}: {found} detections in {frames} frames, {classes} classes"
