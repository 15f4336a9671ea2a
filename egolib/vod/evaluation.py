"""Scores of a set of detections on a data set (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.config import build
from egolib.errors import EgolibError
from egolib.metrics.coco import evaluate_coco
from egolib.metrics.detection import (
    Boxes,
    Conventions,
    VidResult,
    evaluate_vid,
    right_ones,
    truths,
)
from egolib.metrics.motion_speed import MotionTable, motion_from_tracks, read_motion
from egolib.vod.config import EvaluateConfig
from egolib.vod.config.data import DataConfig
from egolib.vod.data.dataset import Source, make_source, object_rows
from egolib.vod.data.index import read_index
from egolib.vod.data.references import test_order
from egolib.vod.formats import submission
from egolib.vod.formats.submission import DetectionSet

THRESHOLDS = tuple(n / 50 for n in range(50))  # scores from which detections are kept
METRICS = "AP50 by speed (vid_style) and COCO's AP (coco_style); tracks are not scored"


def motion_table(source: Source, path: str | Path | None = None) -> MotionTable:
    """Motion of every true box, frames in file order.

    Args:
        source: the annotated videos.
        path: the official ``.mat`` table or ours; None computes one from the tracks.

    Raises:
        EgolibError: the table has other frames or boxes than the data set.
    """
    index = source.index
    rows = _object_rows(source, np.arange(len(index)))
    owner = index.owner[rows]
    if not path:
        boxes = source.boxes[rows]
        tracks = _tracks(source, rows)
        return motion_from_tracks(index.frame, index.video, owner, tracks, boxes)
    table = read_motion(path)
    counts = np.bincount(owner, minlength=len(index))
    if len(table.counts) != len(index):
        raise EgolibError(
            f"the table has {len(table.counts)} frames, the data set {len(index)}",
            file=path,
            remedy="the official table is for the whole val set, ids 1 to 176126",
        )
    if not np.array_equal(table.counts, counts):
        first = int(np.flatnonzero(table.counts != counts)[0])
        raise EgolibError("other boxes than annotated", file=path, record=f"frame {first + 1}")
    return table


def _tracks(source: Source, rows: np.ndarray) -> np.ndarray:
    """A number for every track; ``instance_id`` may start anew in every video.

    Raises:
        EgolibError: objects of videos have none, so that their speed is unknown.
    """
    index = source.index
    instance, video = index.instance[rows], index.video[index.owner[rows]]
    lacking = np.flatnonzero((instance < 0) & (video >= 0))
    if len(lacking):
        raise EgolibError(
            f"{len(lacking)} objects have no instance_id, so that their speed is unknown",
            record=f"annotations[{rows[lacking[0]]}].instance_id",
            remedy="name a motion table, or score by COCO's AP alone: -o vid_style=false",
        )
    pairs = np.column_stack([video, instance])
    numbers: np.ndarray = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return numbers


def evaluate(
    source: Source,
    detections: DetectionSet,
    motion: MotionTable | None,
    config: EvaluateConfig | None = None,
    frames: np.ndarray | None = None,
) -> dict[str, Any]:
    """Metrics by name; what is averaged stands in the names.

    ``AP50``, ``AP50_fast``, ``AP50_medium``, ``AP50_slow`` are means over classes of the
    VID metric; ``classes`` holds it per class; ``coco`` COCO's numbers.

    Args:
        source: the annotated videos.
        detections: of some or all of its frames, in any order.
        motion: of ``source``, frames in file order; only for the VID metric.
        config: which metrics, by which conventions.
        frames: (rows,) of the index; score these frames only.
    """
    config = config or EvaluateConfig()
    order = _rows_of(source, detections.image_id)
    if frames is not None:
        kept = np.isin(order, frames)
        detections, order = _some_frames(detections, kept), order[kept]
    result: dict[str, Any] = {}
    if config.vid_style:
        if motion is None:
            raise EgolibError("the VID metric needs a motion table")
        truth, _ = _truths_in_order(source, order)
        ordered = _reorder(motion, order)
        rules = Conventions(config.extent, config.borders, config.sort)
        result |= _vid_names(
            evaluate_vid(truth, detections.boxes, ordered, detections.class_names, rules)
        )
    if config.coco_style:
        result["coco"] = _coco(source, detections, order)
    return result


def by_threshold(
    source: Source,
    detections: DetectionSet,
    config: EvaluateConfig | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, np.ndarray]:
    """What is left of the detections above a score: ``precision`` and ``recall``, fractions.

    Over all classes together, at IoU 0.5; NaN precision where nothing is left.

    Args:
        source: the annotated videos.
        detections: in some or all of its frames.
        config: conventions of the metric.
        thresholds: least scores.

    Returns:
        (T,) arrays by name.
    """
    config = config or EvaluateConfig()
    truth, _ = _truths_in_order(source, _rows_of(source, detections.image_id))
    rules = Conventions(config.extent, config.borders, config.sort)
    right = right_ones(truth, detections.boxes, detections.class_names, rules)
    kept = detections.boxes.score >= np.reshape(thresholds, (-1, 1))
    hits, left = (kept & right).sum(1), kept.sum(1)
    precision = np.divide(hits, left, out=np.full(len(left), np.nan), where=left > 0)
    return {"precision": precision, "recall": hits / max(len(truth.label), 1)}


def _coco(source: Source, detections: DetectionSet, order: np.ndarray) -> dict[str, float]:
    """COCO's AP on all annotations of the classes; detections of crowds do not count.

    The VID metric leaves out what ``valid_objects`` names; COCO's knows crowds alone.
    """
    index, found = source.index, [source.index.annotations(int(image)) for image in order]
    rows = np.concatenate(found) if found else np.zeros(0, np.int64)
    rows = rows[source.label[rows] >= 0]
    number = np.zeros(len(index), np.int64)
    number[order] = np.arange(len(order))
    truth = truths(number[index.owner[rows]], source.label[rows], source.boxes[rows])
    sides = index.height[order].tolist(), index.width[order].tolist()
    return evaluate_coco(
        truth,
        detections.boxes,
        list(zip(*sides, strict=True)),
        detections.class_names,
        index.box_xywh[rows],
        index.area[rows],
        index.crowd[rows],
    )


def _vid_names(result: VidResult) -> dict[str, Any]:
    means = {k: None if np.isnan(v) else v for k, v in result.means().items()}
    named = {"AP50" if k == "all" else f"AP50_{k}": v for k, v in means.items()}
    return {**named, "classes": {n: result.as_dict()[n] for n in result.class_names}}


def _rows_of(source: Source, image_id: np.ndarray) -> np.ndarray:
    """Rows of the index for image ids."""
    order = np.argsort(source.index.image_id)
    place = np.searchsorted(source.index.image_id[order], image_id)
    place[place == len(order)] = 0
    rows = order[place]
    unknown = source.index.image_id[rows] != image_id
    if unknown.any():
        first = int(np.asarray(image_id)[unknown][0])
        raise EgolibError("results for an image that the data set lacks", record=f"image {first}")
    return rows


def _object_rows(source: Source, order: np.ndarray) -> np.ndarray:
    """Annotation rows of the objects of some images, in their order."""
    parts = [object_rows(source, int(image)) for image in order]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _truths_in_order(source: Source, order: np.ndarray) -> tuple[Boxes, np.ndarray]:
    """True boxes, frames numbered in the given order, and their annotation rows."""
    rows = _object_rows(source, order)
    number = np.zeros(len(source.index), np.int64)
    number[order] = np.arange(len(order))
    frame = number[source.index.owner[rows]]
    return truths(frame, source.label[rows], source.boxes[rows]), rows


def _reorder(motion: MotionTable, order: np.ndarray) -> MotionTable:
    """The table with its frames in another order."""
    ends = np.cumsum(motion.counts)
    starts = ends - motion.counts
    parts = [motion.values[starts[i] : ends[i]] for i in order]
    values = np.concatenate(parts) if parts else np.zeros(0)
    return MotionTable(values, motion.counts[order])


def _some_frames(detections: DetectionSet, kept: np.ndarray) -> DetectionSet:
    """Detections of some frames, numbered anew."""
    boxes, number = detections.boxes, np.cumsum(kept) - 1
    of_kept = kept[boxes.frame]
    part = Boxes(
        number[boxes.frame[of_kept]], *(a[of_kept] for a in (boxes.label, boxes.box, boxes.score))
    )
    return DetectionSet(part, detections.image_id[kept], detections.class_names)


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    motion: str | Path | None = None,
    shuffle_seed: int | None = None,
    vid_style: bool = True,
    coco_style: bool = True,
    extent: Literal["official", "plain"] = "official",
    borders: Literal["official", "half_open"] = "official",
    sort: Literal["official", "stable"] = "official",
) -> dict[str, Any]:
    """Scores a results file on a CocoVID file; all numbers are fractions.

    Args:
        truth: annotations.
        predictions: egolib's results, COCO's JSON, or an official pickle.
        motion: the official motion table or ours; None computes one from the tracks.
        shuffle_seed: of the order of frames in an official pickle (MAMBA: 10).
        vid_style: score by the VID metric and speed.
        coco_style: score by COCO's AP.
        extent: of boxes in the VID metric, see ``EvaluateConfig``.
        borders: of its ranges of speed.
        sort: of equal scores in it.

    Raises:
        EgolibError: a file cannot be read, or does not fit the annotations.
    """
    index = read_index(truth)
    data = DataConfig(classes=tuple((name, "") for name in index.class_names()))
    source = make_source(truth, "", data, train=False)
    order = test_order(index, shuffle_seed)
    ids, names = index.image_id[order], index.class_names()
    detections = submission.read(predictions, ids, names, index.category_id.tolist())
    detections = submission.in_class_order(detections, names, file=predictions)
    submission.validate(detections, index.image_id, names, file=predictions)
    values = {"extent": extent, "borders": borders, "sort": sort}
    config = build(EvaluateConfig, {"vid_style": vid_style, "coco_style": coco_style, **values})
    table = motion_table(source, motion) if config.vid_style else None
    return evaluate(source, detections, table, config)
