"""``4_evaluate``: the detections of a run scored by speed, on degraded frames, and against
another run's (no torch).

Numbers are percentages. A frame counts as *degraded* where its annotations carry the flag
``generated``: the built-in world sets it on blurred and dark views, ImageNet VID on
interpolated boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.detection import evaluate_vid
from egolib.ops.boxes_numpy import iou
from egolib.report.results import read_result
from egolib.report.source import show
from egolib.runs.step import Step
from egolib.vod.config import Config
from egolib.vod.data.dataset import class_names, true_objects
from egolib.vod.data.references import test_order
from egolib.vod.evaluation import THRESHOLDS, by_threshold, evaluate, motion_table
from egolib.vod.formats.submission import DetectionSet, read, validate
from egolib.vod.steps.data import TestSet, evaluation_source, find_below, frames_of_one_video

__all__ = ["evaluate_vid", "frames_of_one_video", "show"]

if TYPE_CHECKING:
    import pandas as pd

SPEEDS = ("AP50", "AP50_fast", "AP50_medium", "AP50_slow")
OUTCOMES = ("right class", "wrong class", "not found")

Metrics = dict[str, Any]


# --------------------------------------------------------------------------- reading


def read_truth(step: Step[Config]) -> TestSet:
    """The annotated test videos of a step with the speed of every object."""
    source, table = evaluation_source(step), step.config.evaluate.motion
    path = find_below(step.data_root, table) if table else None
    return TestSet(source, motion_table(source, path), step.config.evaluate)


def read_predictions(step: Step[Config], truth: TestSet) -> dict[str, DetectionSet]:
    """Detections by variant: this run's, and where it is given that of the input ``other``.

    Raises:
        EgolibError: detections that are impossible, or runs of different frames.
    """
    runs = {step.variant: _read(step, truth, step.input("predictions"))}
    if "other" in step.inputs:
        other = step.input("other")
        variant = read_result(other)["variant"] if other.is_dir() else other.name
        runs[variant] = _read(step, truth, other)
    first = runs[step.variant]
    for variant, found in runs.items():
        validate(found, first.image_id, class_names(step.config.data))
        if set(found.image_id.tolist()) != set(first.image_id.tolist()):
            raise EgolibError(f"{variant} detected in other frames than {step.variant}")
    return runs


def _read(step: Step[Config], truth: TestSet, path: Path) -> DetectionSet:
    """What ``3_infer`` wrote into a folder, or a results file: ours, COCO's, official."""
    if path.is_dir():
        return read(path / "detections.npz")
    infer, index = step.config.infer, truth.source.index
    order = test_order(index, infer.shuffle_seed if infer.shuffle_frames else None)
    ids = {label: category for category, label in truth.source.labels.items()}
    names = class_names(step.config.data)
    return read(path, index.image_id[order], names, [ids[i] for i in range(len(ids))])


# --------------------------------------------------------------------------- scoring


def score(truth: TestSet, found: DetectionSet) -> Metrics:
    """All numbers of one run, in percent.

    ``AP50`` and its speeds by the VID metric, ``degraded`` and ``sharp`` the same on those
    frames alone, ``coco`` COCO's AP, and ``classes``.
    """
    whole = _percent(evaluate(truth.source, found, truth.motion, truth.config))
    parts = {"degraded": truth.degraded, "sharp": truth.sharp}
    for name, rows in parts.items():
        if len(rows) and truth.config.vid_style:
            alone = replace(truth.config, coco_style=False)
            by_speed = evaluate(truth.source, found, truth.motion, alone, rows)
            whole[name] = {k: v for k, v in _percent(by_speed).items() if k in SPEEDS}
    return whole


def _percent(values: Mapping[str, Any]) -> Metrics:
    """Every number as a percentage; COCO's -1 (nothing of that size) becomes None."""
    result: Metrics = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result[name] = _percent(value)
        else:
            result[name] = None if value is None or value < 0 else 100 * float(value)
    return result


def difference(found: Metrics, base: Metrics) -> Metrics:
    """By how many points each number of a run lies above another's; None where one is absent."""
    result: Metrics = {}
    for name, value in found.items():
        other = base.get(name)
        if isinstance(value, Mapping):
            result[name] = difference(dict(value), other or {})
        else:
            result[name] = None if value is None or other is None else value - other
    return result


# -------------------------------------------------------------------------- outcomes


def outcomes(test: TestSet, found: DetectionSet, threshold: float = 0.5) -> dict[str, np.ndarray]:
    """How many true objects had each of ``OUTCOMES``: on all, degraded and sharp frames.

    An object, by itself, gets the class of the highest-scoring detection that overlaps it
    by at least ``threshold``.

    Args:
        test: the annotated videos.
        found: detections in them.
        threshold: least IoU.
    """
    index, boxes = test.source.index, found.boxes
    row_of = {int(image): row for row, image in enumerate(index.image_id)}
    bounds = np.searchsorted(boxes.frame, np.arange(len(found.image_id) + 1))
    blurred = set(test.degraded.tolist())
    counted = {name: np.zeros(len(OUTCOMES), int) for name in ("all", "degraded", "sharp")}
    for number, image in enumerate(found.image_id.tolist()):
        part = slice(bounds[number], bounds[number + 1])
        row = row_of[image]
        own = _outcomes_of(
            *true_objects(test.source, row),
            boxes.box[part],
            boxes.label[part],
            boxes.score[part],
            threshold,
        )
        for name in ("all", "degraded" if row in blurred else "sharp"):
            counted[name] += np.bincount(own, minlength=len(OUTCOMES))
    return counted


def outcome_percentages(test: TestSet, found: DetectionSet) -> Metrics:
    """The same in percent of the objects, for ``result.json``; None where there are none."""
    counted = outcomes(test, found)
    return {
        frames: {
            name.replace(" ", "_"): 100 * int(n) / int(own.sum()) if own.sum() else None
            for name, n in zip(OUTCOMES, own, strict=True)
        }
        for frames, own in counted.items()
    }


def effects(test: TestSet, runs: Mapping[str, DetectionSet]) -> pd.DataFrame:
    """What became of the objects: one row a run and kind of frame, in percent.

    An object whose most confident detection has the wrong class was found, but its frame did
    not tell its class: there other frames can help.
    """
    import pandas as pd

    rows = {}
    for run, found in runs.items():
        for frames, own in outcomes(test, found).items():
            percent = dict(zip(OUTCOMES, 100 * own / max(own.sum(), 1), strict=True))
            rows[run, f"{frames} frames"] = {"objects": own.sum(), **percent}
    return pd.DataFrame(rows).T.astype({"objects": int})


def _outcomes_of(
    truth: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    found: np.ndarray,
    scores: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Index into ``OUTCOMES`` for every true box of a frame."""
    if not len(boxes):
        return np.full(len(truth), 2)
    strength = np.where(iou(truth, boxes) >= threshold, scores, -1.0)  # (truths, found)
    best = strength.argmax(axis=1)
    wrong = found[best] != labels
    return np.where(strength.max(axis=1) < 0, 2, wrong.astype(int))


# ---------------------------------------------------------------------------- showing


def sweep(test: TestSet, runs: Mapping[str, DetectionSet]) -> dict[str, pd.DataFrame]:
    """Precision and recall in percent of what lies above each score, by run.

    Args:
        test: the annotated videos.
        runs: detections in them by variant.
    """
    import pandas as pd

    found = {name: by_threshold(test.source, own, test.config) for name, own in runs.items()}
    rows = pd.Index(THRESHOLDS, name="score")
    return {name: 100 * pd.DataFrame(numbers, index=rows) for name, numbers in found.items()}


def table(scored: Mapping[str, Metrics]) -> pd.DataFrame:
    """One row a run: AP50 by speed on all frames, AP50 on degraded and sharp ones, COCO's AP."""
    import pandas as pd

    rows = {name: _row(numbers) for name, numbers in scored.items()}
    return pd.DataFrame(rows).T.astype(float)


def _row(numbers: Metrics) -> dict[str, float | None]:
    coco = numbers.get("coco") or {}
    return {
        "AP50": numbers.get("AP50"),
        "fast": numbers.get("AP50_fast"),
        "medium": numbers.get("AP50_medium"),
        "slow": numbers.get("AP50_slow"),
        "degraded frames": (numbers.get("degraded") or {}).get("AP50"),
        "sharp frames": (numbers.get("sharp") or {}).get("AP50"),
        "COCO AP": coco.get("bbox_mAP"),
    }


def class_table(scored: Mapping[str, Metrics]) -> pd.DataFrame:
    """AP50 of every class, one column a run; empty without the VID metric."""
    import pandas as pd

    return pd.DataFrame({name: run.get("classes", {}) for name, run in scored.items()}).astype(
        float
    )


# ---------------------------------------------------------------------------- results


def metrics(
    scored: Mapping[str, Metrics], test: TestSet, runs: Mapping[str, DetectionSet]
) -> Metrics:
    """What ``result.json`` holds: the first run's numbers, and its gain over the other's.

    Args:
        scored: numbers by run.
        test: what was scored on.
        runs: detections by run.
    """
    (name, own), *others = scored.items()
    result = {**own, "objects": outcome_percentages(test, runs[name])}
    if others:
        result["over_other"] = {
            k: v for k, v in difference(own, others[0][1]).items() if k != "classes"
        }
    return result


def counts(truth: TestSet) -> dict[str, int]:
    """Videos, frames, degraded frames and objects that were scored on."""
    index = truth.source.index
    return {
        "videos": len(index.video_id),
        "frames": len(index),
        "degraded": len(truth.degraded),
        "objects": len(truth.motion.values),
    }


def check(scored: Mapping[str, Metrics]) -> None:
    """Raises where scores are impossible: percentages, and AP50 the mean over its classes.

    Raises:
        EgolibError: naming the run.
    """
    for run, numbers in scored.items():
        known = [v for v in numbers.get("classes", {}).values() if v is not None]
        if not all(0 <= value <= 100.001 for value in known):
            raise EgolibError("an AP50 is no percentage", record=run)
        if known and abs(sum(known) / len(known) - numbers["AP50"]) > 1e-6:
            raise EgolibError("AP50 is not the mean over its classes", record=run)
        if not known and "coco" not in numbers:
            raise EgolibError("nothing was scored", record=run)
