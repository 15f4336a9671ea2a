"""``4_evaluate``: answers of a run scored, ranked, swept and compared.

``val_test`` pools validation and test queries, which only the built-in world can do: it
kept the test answers. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.box_tracks import overlap
from egolib.metrics.visual_query import Choice, Queries, Scores, Ties, evaluate
from egolib.report.source import show
from egolib.runs.step import Step
from egolib.vq2d.config import Config
from egolib.vq2d.data.annotations import (
    Annotations,
    find_annotations,
    from_content,
    read_annotations,
)
from egolib.vq2d.evaluation import load_queries
from egolib.vq2d.formats import submission
from egolib.vq2d.formats.submission import build_submission
from egolib.vq2d.localization import settings
from egolib.vq2d.localization.answers import Answers, query_jobs
from egolib.vq2d.localization.confidence import Calibration, Evidence, confidence, fit_calibration
from egolib.vq2d.localization.localize import Tracker
from egolib.vq2d.localization.replay import InferenceRecord, Replay
from egolib.vq2d.localization.tracks import Track
from egolib.vq2d.steps.data import clips_folder, read_splits
from egolib.vq2d.steps.looking import curve_examples, strip_examples

if TYPE_CHECKING:
    import pandas as pd

POOLED = "val_test"
RANKINGS = ("height", "prominence", "margin", "response", "length", "similarity")
RIGHT_STIOU = 0.25
CLIP_FPS = 5.0

Numbers = dict[str, float]
Truth = Mapping[str, Annotations]


# --------------------------------------------------------------------------- reading


def read_truth(step: Step[Config]) -> Truth:
    """The annotations whose answers are known: val, where they were kept test, and both."""
    found = {"val": read_splits(step)["val"]}
    file = step.data_root / step.config.data.test_truth
    if file.is_file():
        found["test"] = read_annotations(file)
        videos = [*found["val"].videos, *found["test"].videos]
        content = {"version": found["val"].version, "videos": videos}
        found[POOLED] = from_content(content, f"{found['val'].file} + {file.name}")
    return found


def main_split(truth: Truth) -> str:
    """Where comparisons are made: on all known answers."""
    return POOLED if POOLED in truth else "val"


def read_predictions(step: Step[Config], truth: Truth) -> Replay:
    """The queries with known answers, ready to be answered under any setting of the peaks.

    Raises:
        EgolibError: ``3_infer`` left no record, or a detection cache is damaged.
    """
    config = step.config.localize
    calibration = None
    if config.confidence == "calibrated":
        calibration = Calibration.read(step.data_root / config.calibration)
    clips, backend = truth[main_split(truth)].by_clip(), step.config.data.backend
    todo = query_jobs(clips, clips_folder(step), backend)
    make = partial(_make_tracker, step.config)
    folder = step.input("predictions")
    return Replay(todo, folder, step.out, config, make, calibration)


def _make_tracker(config: Config, record: InferenceRecord) -> Tracker:
    from egolib.vq2d.steps.infer import tracker_of  # loads torch

    tracker = tracker_of(config.localize, config.tracker, record.tracker, record.detector, "cpu")
    assert tracker is not None  # without one, nothing is followed
    return tracker


def validate_files(step: Step[Config]) -> list[str]:
    """A line for each submission file, checked against the official annotations.

    Raises:
        EgolibError: a file is not what the challenge's server takes.
    """
    lines = []
    for split in read_splits(step):
        file = step.input("predictions") / f"{split}.json"
        if file.is_file():
            truth = find_annotations(step.data_root, split)
            lines.append(f"{split}.json: {submission.validate_file(file, truth)}")
    return lines


def configured(step: Step[Config], replay: Replay) -> Answers:
    """The answers under the settings of this step."""
    return replay.answers(settings.configured(step.config))


# --------------------------------------------------------------------------- scoring


def queries_of(annotations: Annotations, tracks: Mapping[str, Track]) -> Queries:
    """Truths and predictions of a split; a query without a track has an empty one."""
    known = {query.key for query in annotations.queries}
    own = {key: track for key, track in tracks.items() if key in known}
    return load_queries(annotations, build_submission(annotations, own))


def score_tracks(
    annotations: Annotations,
    tracks: Mapping[str, Track],
    ties: Ties = "expected",
    several: Choice = "max_score",
) -> Scores:
    """The metrics of tracks on a split.

    Args:
        annotations: with response tracks.
        tracks: by query key.
        ties: order of equal scores.
        several: which of several answers counts for recovery and success.
    """
    return evaluate(queries_of(annotations, tracks), ties=ties, several=several)


def score(step: Step[Config], truth: Truth, answers: Answers) -> dict[str, Scores]:
    """The metrics of each split, in the configured tie mode.

    Args:
        step: ``4_evaluate``.
        truth: annotations by split.
        answers: to their queries.
    """
    config = step.config.evaluate
    return {
        name: score_tracks(annotations, answers.tracks, config.ap_ties, config.several)
        for name, annotations in truth.items()
    }


def constant(answers: Answers) -> dict[str, Track]:
    """The tracks with one and the same confidence, matching the official code."""
    return {key: replace(answer.track, score=1.0) for key, answer in answers.found.items()}


def recent(annotations: Annotations, seconds: float) -> np.ndarray:
    """(Q,) true for queries whose object was in view until shortly before the question."""
    ends = [query.query_frame - query.track[-1].frame - 1 for query in annotations.queries]
    return np.array(ends) <= seconds * CLIP_FPS


def score_recent(
    annotations: Annotations, tracks: Mapping[str, Track], seconds: float
) -> Numbers | None:
    """The metrics of the recent appearances alone; None where there is none.

    Args:
        annotations: with response tracks.
        tracks: by query key.
        seconds: a track that ends so shortly before the question is recent.
    """
    kept = recent(annotations, seconds)
    if not kept.any():
        return None
    return evaluate(queries_of(annotations, tracks).restrict(kept), ties="expected").table()


# --------------------------------------------------------------------------- ranking


def rankings(annotations: Annotations, answers: Answers) -> dict[str, Numbers]:
    """The metrics of the same tracks, ranked in each way; equal scores averaged over orders.

    ``calibrated`` combines all evidence; it is fitted on one half of the videos and ranks
    the other, and left out where a half has no right or no wrong answer.
    """
    found = {"constant": score_tracks(annotations, constant(answers)).table()}
    for kind in RANKINGS:
        ranked = _ranked(
            answers, {k: confidence(kind, a.evidence) for k, a in answers.found.items()}
        )
        found[kind] = score_tracks(annotations, ranked).table()
    crossed = cross_fitted(annotations, answers)
    if crossed is not None:
        found["calibrated"] = score_tracks(annotations, _ranked(answers, crossed)).table()
    return found


def _ranked(answers: Answers, scores: Mapping[str, float]) -> dict[str, Track]:
    return {k: replace(a.track, score=scores[k]) for k, a in answers.found.items()}


def rightness(annotations: Annotations, answers: Answers) -> dict[str, bool]:
    """Query key -> whether its answer reaches the stIoU that counts."""
    queries = queries_of(annotations, constant(answers))
    stiou = overlap(queries.predicted, queries.truth.take(queries.query)).stiou
    keys = [query.key for query in annotations.queries]
    return {
        k: bool(v >= RIGHT_STIOU) for k, v in zip(keys, stiou, strict=True) if k in answers.found
    }


def fit(annotations: Annotations, answers: Answers) -> Calibration | None:
    """A calibration on all answers of a split; None where all are right or all wrong."""
    right = rightness(annotations, answers)
    return _fit({k: answers.found[k].evidence for k in right}, right)


def _fit(evidence: Mapping[str, Evidence], right: Mapping[str, bool]) -> Calibration | None:
    if len(set(right.values())) < 2:
        return None
    return fit_calibration([evidence[k] for k in right], list(right.values()))


def cross_fitted(annotations: Annotations, answers: Answers) -> dict[str, float] | None:
    """Calibrated confidences, each from a fit on the other half of the videos."""
    right = rightness(annotations, answers)
    places = {video["video_uid"]: i for i, video in enumerate(annotations.videos)}
    half = {q.key: places[q.video["video_uid"]] % 2 for q in annotations.queries}
    scores: dict[str, float] = {}
    for own in (0, 1):
        others = {k: v for k, v in right.items() if half[k] != own}
        calibration = _fit({k: answers.found[k].evidence for k in others}, others)
        if calibration is None:
            return None
        mine = {k: answers.found[k].evidence for k in right if half[k] == own}
        scores |= {k: calibration.score(evidence) for k, evidence in mine.items()}
    return scores


# ------------------------------------------------------------------------ comparisons


def compare(
    step: Step[Config], replay: Replay, annotations: Annotations, answers: Answers
) -> dict[str, Numbers]:
    """What peaks and tracking add to single detections, and what each correction changes.

    Args:
        step: ``4_evaluate``.
        replay: answers under other settings.
        annotations: of one split.
        answers: under the configured settings.

    All with constant confidences, ties averaged over orders. ``..._recent`` rows hold only
    the recent appearances.
    """
    config = step.config
    tracks = {"configured": constant(answers)}
    best = replay.single_best()
    tracks["single best detection"] = {k: replace(v, score=1.0) for k, v in best.items()}
    own_settings = settings.configured(config)
    for name, changed in settings.compared(own_settings, config.sweep).items():
        tracks[name] = constant(replay.answers(changed))
    rows = {name: score_tracks(annotations, own).table() for name, own in tracks.items()}
    for name, own in tracks.items():
        numbers = score_recent(annotations, own, config.evaluate.recent_sec)
        if numbers is not None and name in ("configured", "reflect"):
            rows[f"{name}_recent"] = numbers
    return rows


def sweep(
    step: Step[Config], replay: Replay, annotations: Annotations
) -> dict[str, dict[float, Numbers]]:
    """The metrics of each swept setting and value, the others as configured.

    Args:
        step: ``4_evaluate``.
        replay: answers under other settings.
        annotations: of one split.
    """
    config = settings.configured(step.config)
    found = settings.sweeps(config, step.config.sweep)
    return {
        name: {
            value: score_tracks(annotations, constant(replay.answers(changed))).table()
            for value, changed in values.items()
        }
        for name, values in found.items()
    }


def effects(
    ranked: Mapping[str, Numbers], compared: Mapping[str, Numbers]
) -> dict[str, dict[str, float]]:
    """Differences: of each ranking against constant scores, of peaks and tracking against the
    single best detection, of each correction against the configured answers."""
    found = {
        f"rank_{name}": difference(numbers, ranked["constant"])
        for name, numbers in ranked.items()
        if name != "constant"
    }
    base = compared["configured"]
    found["tracking"] = difference(base, compared["single best detection"])
    for name in ("reflect", "checked"):
        if name in compared:
            found[name] = difference(compared[name], base)
    if "reflect_recent" in compared:
        recents = compared["configured_recent"]
        found["reflect_recent"] = difference(compared["reflect_recent"], recents)
    return found


def difference(found: Numbers, base: Numbers) -> dict[str, float]:
    """By how much each number lies above another's."""
    return {name: value - base[name] for name, value in found.items()}


# ---------------------------------------------------------------------------- showing


def table(scored: Mapping[str, Numbers | Scores]) -> pd.DataFrame:
    """One row for each evaluation: the official six, then p and the band of tied orders."""
    import pandas as pd

    plain = {k: v.table() if isinstance(v, Scores) else v for k, v in scored.items()}
    return pd.DataFrame(plain).T


def used(step: Step[Config]) -> dict[str, float]:
    """The configured value of each setting that can be swept."""
    peaks = settings.configured(step.config).peaks
    return {name: getattr(peaks, name) for name in settings.SWEPT}


def metrics(
    scored: Mapping[str, Scores],
    ranked: Mapping[str, Numbers],
    compared: Mapping[str, Numbers],
    swept: Mapping[str, Mapping[float, Numbers]],
) -> dict[str, Any]:
    """All numbers of the page, for ``result.json``.

    Args:
        scored: of ``score``.
        ranked: of ``rankings``.
        compared: of ``compare``.
        swept: of ``sweep``.
    """
    found: dict[str, Any] = {split: scores.table() for split, scores in scored.items()}
    found["effect"] = effects(ranked, compared)
    found |= {"ranking": dict(ranked), "compare": dict(compared)}
    found["sweep"] = {k: {f"{v:g}": n for v, n in own.items()} for k, own in swept.items()}
    return found


def counts(truth: Truth) -> dict[str, Any]:
    """Counts of the annotations, for ``result.json``."""
    return {name: own.counts() for name, own in truth.items()}


def write_calibration(
    step: Step[Config], annotations: Annotations, answers: Answers
) -> Path | None:
    """``calibration.json``, fitted on all validation answers, for ``localize.calibration``.

    Args:
        step: ``4_evaluate``.
        annotations: of the validation split.
        answers: to its queries.
    """
    calibration = fit(annotations, answers)
    return None if calibration is None else calibration.write(step.out / "calibration.json")


def check(scored: Mapping[str, Numbers | Scores]) -> None:
    """Raises EgolibError where a number cannot be: outside its range, or AP above p."""
    for row in scored.values():
        numbers = row.table() if isinstance(row, Scores) else row
        for name in ("tAP@0.25", "stAP@0.25"):
            p = numbers["p_temporal@0.25" if name[0] == "t" else "p_spatio_temporal@0.25"]
            if not 0 <= numbers[name] <= p + 1e-9:
                raise EgolibError(f"{name} is {numbers[name]}, p is {p}")
        for name in ("recovery%", "success%"):
            if not 0 <= numbers[name] <= 100:
                raise EgolibError(f"{name} is {numbers[name]}")


def check_ranking(ranked: Mapping[str, Numbers]) -> None:
    """Raises EgolibError where a ranking changed more than the order of answers."""
    check(ranked)
    for name, row in ranked.items():
        for metric in ("recovery%", "success%"):
            if row[metric] != ranked["constant"][metric]:
                raise EgolibError(f"ranking by {name} changed {metric}")


__all__ = [
    "check",
    "check_ranking",
    "clips_folder",
    "compare",
    "configured",
    "constant",
    "counts",
    "curve_examples",
    "effects",
    "main_split",
    "metrics",
    "overlap",
    "rankings",
    "read_predictions",
    "read_truth",
    "score",
    "score_tracks",
    "show",
    "strip_examples",
    "sweep",
    "table",
    "used",
    "validate_files",
    "write_calibration",
]
