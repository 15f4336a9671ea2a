"""From annotations and result files to the numbers of moments queries (section 12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.records import first_of, read_json
from egolib.metrics.moment_detection import (
    DETECTION_THRESHOLDS,
    AveragePrecision,
    Recall,
    Segments,
    average_precision,
    recall_at_kx,
)
from egolib.mq.config import EvaluateConfig
from egolib.mq.data.annotations import (
    Clip,
    moment_oddities,
    read_annotations,
    without_duplicates,
)
from egolib.mq.formats import submission

OVERLAPS = tuple(n / 20 for n in range(20))  # of curves
CURVES = (1, 5)

Results = Mapping[str, Sequence[Mapping[str, Any]]]
"""Clip uid -> ``{"label", "score", "segment": [start, end]}``, in file order."""


@dataclass(frozen=True)
class Evaluation:
    """Both scores of the same predictor.

    Args:
        detection: average precision by class; None without detections.
        retrieval: recall@kx; None without retrievals.
        classes: names of the classes, by first appearance in the truth.
        clips: number of clips with moments.
        moments: number of moments.
        strangers: detections of unknown classes (not looked at) and of unknown clips (wrong).
    """

    detection: AveragePrecision | None
    retrieval: Recall | None
    classes: tuple[str, ...]
    clips: int
    moments: int
    strangers: dict[str, int]

    def summary(self) -> dict[str, float]:
        """The challenge's numbers, in percent."""
        values: dict[str, float] = {}
        if self.detection is not None:
            named = zip(self.detection.thresholds, self.detection.by_threshold, strict=True)
            values |= {f"mAP IoU={t:g}": 100 * float(value) for t, value in named}
            values["average mAP"] = 100 * self.detection.mean
        if self.retrieval is not None:
            values |= {
                f"Recall@{k}x IoU={t:g}": 100 * self.retrieval.at(k, t)
                for t in self.retrieval.thresholds
                for k in (1, 5)
            }
        return values


def evaluate(
    truth: Iterable[Clip],
    detections: Results | None = None,
    retrievals: Results | None = None,
    config: EvaluateConfig | None = None,
    *,
    file: str | Path | None = None,
) -> Evaluation:
    """Detection mAP and retrieval recall of result files.

    Args:
        truth: clips of one subset, with their moments.
        detections: answers without knowing the class.
        retrievals: answers for the classes of each clip. The convention ``actionformer``
            takes the detections instead.
        config: conventions.
        file: of the retrievals, named in errors.

    Raises:
        EgolibError: the truth holds no moment; a clip of the truth is missing in the
            retrievals (in the detections it counts as missed).
    """
    config = config or EvaluateConfig()
    public = config.convention == "actionformer"
    clips = [without_duplicates(clip) if public else clip for clip in truth if clip.moments]
    if not clips:
        raise EgolibError(
            "the annotations hold no moment",
            remedy="the test file has none; evaluate on validation, or on the challenge server",
        )
    packed, numbers, classes = pack_truth(clips)
    detection = retrieval = None
    strangers: dict[str, int] = {}
    if detections is not None:
        found, strangers = pack_results(detections, numbers, classes)
        detection = average_precision(
            packed, found, len(classes), zero_length=config.zero_length, ties=config.ap_ties
        )
    if public and detections is not None:
        retrieval = recall_at_kx(
            packed,
            found,
            len(classes),
            thresholds=DETECTION_THRESHOLDS,
            top_k=(1, 5),
            convention="actionformer",
        )
    elif retrievals is not None:
        _require_clips(clips, retrievals, file)
        asked, others = pack_results(retrievals, numbers, classes)
        strangers |= {f"retrievals: {what}": count for what, count in others.items() if count}
        retrieval = recall_at_kx(packed, asked, len(classes))
    return Evaluation(detection, retrieval, tuple(classes), len(clips), len(packed), strangers)


def recall_curves(
    truth: Sequence[Clip], retrievals: Results
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Recall@1x and Recall@5x in percent against the overlap that a hit must exceed.

    Args:
        truth: clips of one subset, with their moments.
        retrievals: answers for the classes of each clip.

    Returns:
        (T,) overlaps and (T,) percentages by name.
    """
    packed, numbers, classes = pack_truth(truth)
    asked, _ = pack_results(retrievals, numbers, classes)
    found = recall_at_kx(packed, asked, len(classes), thresholds=OVERLAPS, top_k=CURVES)
    return {
        f"Recall@{k}x": (np.array(OVERLAPS), 100 * found.values[:, n]) for n, k in enumerate(CURVES)
    }


def _require_clips(clips: Sequence[Clip], retrievals: Results, file: str | Path | None) -> None:
    missing = [clip.clip_uid for clip in clips if clip.clip_uid not in retrievals]
    if missing:
        raise EgolibError(
            f"{len(missing)} clips have no entry among the retrievals",
            file=file,
            record=missing[0],
            remedy=f"an empty list is enough; {nearest(missing[0], retrievals)}",
        )


def pack_truth(clips: Sequence[Clip]) -> tuple[Segments, dict[str, int], dict[str, int]]:
    """True moments as arrays, with the numbers of clips and classes by first appearance."""
    numbers = {clip.clip_uid: number for number, clip in enumerate(clips)}
    names = dict.fromkeys(label for clip in clips for label in clip.labels)
    classes = {name: number for number, name in enumerate(names)}
    rows = [
        (numbers[clip.clip_uid], classes[moment.label], moment.start_sec, moment.end_sec)
        for clip in clips
        for moment in clip.moments
    ]
    table = np.array(rows, np.float64).reshape(-1, 4)
    clip, label = table[:, :2].T.astype(np.int64)
    return Segments(clip, label, table[:, 2:], np.zeros(0)), numbers, classes


def pack_results(
    results: Results, clips: Mapping[str, int], classes: Mapping[str, int]
) -> tuple[Segments, dict[str, int]]:
    """Predictions as arrays, and how many are of unknown clips and classes.

    Official behaviour: a prediction of an unknown class is not looked at; one of a clip
    that the truth does not have is a false positive.

    Args:
        results: by clip uid.
        clips: numbers of the clips with moments.
        classes: numbers of the classes of the truth.
    """
    unknown = [uid for uid in results if uid not in clips]
    numbers = {**clips, **{uid: len(clips) + i for i, uid in enumerate(unknown)}}
    flat = list(chain.from_iterable(results.values()))
    counts = [len(records) for records in results.values()]
    clip = np.repeat(np.array([numbers[uid] for uid in results], np.int64), counts)
    names = [classes.get(label, -1) for label in map(itemgetter("label"), flat)]
    label = np.array(names, np.int64)
    segment = np.array(list(map(itemgetter("segment"), flat)), np.float64).reshape(-1, 2)
    score = np.array(list(map(itemgetter("score"), flat)), np.float64)
    strangers = {
        "unknown class": int((label < 0).sum()),
        "unknown clip": int(((clip >= len(clips)) & (label >= 0)).sum()),
    }
    return Segments(clip, label, segment, score).take(label >= 0), strangers


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    subset: str | None = None,
    kind: Literal["detection", "retrieval"] | None = None,
    zero_length: Literal["official", "miss"] = "official",
    ap_ties: Literal["official", "file", "expected"] = "official",
    convention: Literal["official", "actionformer"] = "official",
) -> dict[str, Any]:
    """Detection mAP and retrieval recall of a file, in per cent.

    Args:
        truth: an official ``moments_*.json``, or a ``clip_annotations.json``.
        predictions: a submission, or one of the two official result files.
        subset: of the truth, where it holds several.
        kind: of a result file; by default told by its name.
        zero_length: see ``EvaluateConfig``.
        ap_ties: see ``EvaluateConfig``.
        convention: see ``EvaluateConfig``.

    Raises:
        EgolibError: a file that cannot be read, no moment in the truth, or a clip without
            retrievals.
    """
    clips = read_annotations(truth, subset)
    detections, retrievals = _read_predictions(predictions, kind)
    config = EvaluateConfig(zero_length, ap_ties, convention)
    found = evaluate(clips, detections, retrievals, config, file=predictions)
    about = {"clips": found.clips, "moments": found.moments, "classes": len(found.classes)}
    warnings = [*moment_oddities(clips), *submission.oddities(clips, detections, retrievals)]
    return found.summary() | about | found.strangers | {"warnings": first_of(warnings)}


def _read_predictions(
    path: str | Path, kind: Literal["detection", "retrieval"] | None
) -> tuple[Results | None, Results | None]:
    """Detections and retrievals of a submission; the one that a result file holds."""
    if "results" not in read_json(path, dict):
        return submission.read(path)
    results = submission.read_results(path)
    if (kind or ("retrieval" if Path(path).name.startswith("ret") else "detection")) == "detection":
        return results, None
    return None, results
