"""``4_evaluate``: the detections of a run scored by speed, on degraded frames, and against
another run's (no torch).

Numbers are percentages. A frame counts as *degraded* where its annotations carry the flag
``generated``: the built-in world sets it on blurred and dark views, ImageNet VID on
interpolated boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.motion_speed import MotionTable
from egolib.report.results import read_result
from egolib.runs.step import Step
from egolib.viz.pictures import spread
from egolib.vod.config import Config, EvaluateConfig
from egolib.vod.data.dataset import Source, class_names, true_objects
from egolib.vod.evaluation import evaluate, motion_table
from egolib.vod.formats.submission import DetectionSet, read_detections, validate
from egolib.vod.steps.data import evaluation_source, find_below

if TYPE_CHECKING:
    import pandas as pd

SPEEDS = ("AP50", "AP50_fast", "AP50_medium", "AP50_slow")
OUTCOMES = ("right class", "wrong class", "not found")

Metrics = dict[str, Any]


@dataclass(frozen=True)
class TestSet:
    """What is scored against.

    Args:
        source: the annotated videos.
        motion: speed of every true box.
        config: conventions of the scores.
    """

    __test__ = False

    source: Source
    motion: MotionTable
    config: EvaluateConfig

    @property
    def degraded(self) -> np.ndarray:
        """Rows of the frames whose annotations are flagged as ``generated``."""
        index = self.source.index
        return np.unique(index.owner[index.generated])

    @property
    def sharp(self) -> np.ndarray:
        """Rows of the other frames."""
        return np.setdiff1d(np.arange(len(self.source.index)), self.degraded)


# --------------------------------------------------------------------------- reading


def read_test_set(step: Step[Config]) -> TestSet:
    """The annotated test videos of a step with the speed of every object."""
    source, table = evaluation_source(step), step.config.data.motion
    path = find_below(step.data_root, table) if table else None
    return TestSet(source, motion_table(source, path), step.config.evaluate)


def read_found(folder: Path) -> DetectionSet:
    """The detections that ``3_infer`` wrote into a folder."""
    return read_detections(folder / "detections.npz")


def read_runs(step: Step[Config], test: TestSet) -> dict[str, DetectionSet]:
    """Detections by variant: this run's, and where it is given that of the input ``other``.

    Raises:
        EgolibError: detections that are impossible, or runs of different frames.
    """
    runs = {step.variant: read_found(step.input("predictions"))}
    if "other" in step.inputs:
        variant = read_result(step.input("other"))["variant"]
        runs[variant] = read_found(step.input("other"))
    first = runs[step.variant]
    for variant, found in runs.items():
        validate(found, first.image_id, class_names(step.config.data))
        if set(found.image_id.tolist()) != set(first.image_id.tolist()):
            raise EgolibError(f"{variant} detected in other frames than {step.variant}")
    return runs


# --------------------------------------------------------------------------- scoring


def score(test: TestSet, found: DetectionSet) -> Metrics:
    """All numbers of one run, in percent.

    ``AP50`` and its speeds by the VID metric, ``degraded`` and ``sharp`` the same on those
    frames alone, ``coco`` COCO's AP, and ``classes``.
    """
    whole = _percent(evaluate(test.source, found, test.motion, test.config))
    parts = {"degraded": test.degraded, "sharp": test.sharp}
    plain = EvaluateConfig(
        coco_style=False,
        extent=test.config.extent,
        borders=test.config.borders,
        sort=test.config.sort,
    )
    for name, rows in parts.items():
        if len(rows) and test.config.vid_style:
            by_speed = evaluate(test.source, found, test.motion, plain, rows)
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


def outcome_shares(test: TestSet, found: DetectionSet) -> Metrics:
    """The same in percent of the objects, for ``result.json``; None where there are none."""
    counted = outcomes(test, found)
    return {
        frames: {
            name.replace(" ", "_"): 100 * int(n) / int(own.sum()) if own.sum() else None
            for name, n in zip(OUTCOMES, own)
        }
        for frames, own in counted.items()
    }


def outcome_table(test: TestSet, runs: Mapping[str, DetectionSet]) -> pd.DataFrame:
    """One row a run and kind of frame: its objects, and what became of them, in percent."""
    import pandas as pd

    rows = {}
    for run, found in runs.items():
        for frames, own in outcomes(test, found).items():
            shares = 100 * own / max(own.sum(), 1)
            rows[run, f"{frames} frames"] = {"objects": own.sum(), **dict(zip(OUTCOMES, shares))}
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


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Overlaps (N, M) of boxes (N, 4) and (M, 4), xyxy."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes, others)]
    return common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-9)


# ---------------------------------------------------------------------------- showing


def table(runs: Mapping[str, Metrics]) -> pd.DataFrame:
    """One row a run: AP50 by speed on all frames, AP50 on degraded and sharp ones, COCO's AP."""
    import pandas as pd

    rows = {name: _row(numbers) for name, numbers in runs.items()}
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


def class_table(runs: Mapping[str, Metrics]) -> pd.DataFrame:
    """AP50 of every class, one column a run."""
    import pandas as pd

    return pd.DataFrame({name: numbers["classes"] for name, numbers in runs.items()}).astype(float)


def confidence_table(found: DetectionSet) -> pd.DataFrame:
    """Detections of a frame, on average, above several scores."""
    import pandas as pd

    frames = max(len(found.image_id), 1)
    limits = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    rows = {
        f"score of {limit} or more": int((found.boxes.score >= limit).sum()) / frames
        for limit in limits
    }
    return pd.DataFrame({"detections a frame": rows}).round(2)


def frames_of_one_video(
    test: TestSet, found: DetectionSet | None = None, count: int = 6
) -> list[int]:
    """Rows of ``count`` frames of one video, spread over its frames with objects.

    The video is the first with as many degraded and sharp frames as any: chosen by the
    annotations, never by the detections.

    Args:
        found: only videos that these detections cover.
    """
    index = test.source.index
    rows = np.arange(len(index))
    usable = np.isin(rows, index.owner)
    if found is not None:
        usable &= np.isin(index.image_id, found.image_id)
    degraded = np.isin(rows, test.degraded)
    videos = [usable & (index.video == v) for v in range(len(index.video_id))]
    both = [min(int((own & degraded).sum()), int((own & ~degraded).sum())) for own in videos]
    chosen = np.flatnonzero(videos[int(np.argmax(both))])
    return spread(chosen, count).tolist()


# ---------------------------------------------------------------------------- results


def metrics(
    scored: Mapping[str, Metrics], test: TestSet, runs: Mapping[str, DetectionSet]
) -> Metrics:
    """What ``result.json`` holds: the first run's numbers, and its gain over the other's."""
    (name, own), *others = scored.items()
    result = {**own, "objects": outcome_shares(test, runs[name])}
    if others:
        result["over_other"] = {
            k: v for k, v in difference(own, others[0][1]).items() if k != "classes"
        }
    return result


def counts(test: TestSet) -> dict[str, int]:
    """Videos, frames, degraded frames and objects that were scored on."""
    index = test.source.index
    return {
        "videos": len(index.video_id),
        "frames": len(index),
        "degraded": len(test.degraded),
        "objects": len(test.motion.values),
    }
