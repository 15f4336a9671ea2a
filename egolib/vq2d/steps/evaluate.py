"""``4_evaluate``: answers of a run scored, ranked, swept and compared.

``val_test`` pools validation and test queries, which only the built-in world can do: it
kept the test answers. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.metrics.box_tracks import overlap
from egolib.metrics.visual_query import Queries, Scores, Ties, evaluate
from egolib.runs.step import Step
from egolib.vq2d.config import Config, EvaluateConfig
from egolib.vq2d.data.annotations import Annotations, Query, from_content, read_annotations
from egolib.vq2d.evaluation import load_queries
from egolib.vq2d.formats.submission import build_submission, read_submission, validate
from egolib.vq2d.localization import settings
from egolib.vq2d.localization.answers import Answers, jobs
from egolib.vq2d.localization.confidence import Calibration, Evidence, confidence, fit_calibration
from egolib.vq2d.localization.localize import Answer
from egolib.vq2d.localization.replay import Replay
from egolib.vq2d.localization.tracks import Track
from egolib.vq2d.steps.data import clips_folder, read_splits

if TYPE_CHECKING:
    import pandas as pd

POOLED = "val_test"
RANKINGS = ("height", "prominence", "margin", "response", "length", "similarity")
RIGHT_STIOU = 0.25
CLIP_FPS = 5.0

Numbers = dict[str, float]


# --------------------------------------------------------------------------- reading


def read_truths(step: Step[Config]) -> dict[str, Annotations]:
    """The annotations whose answers are known: val, where they were kept test, and both."""
    found = {"val": read_splits(step)["val"]}
    file = step.data_root / step.config.data.test_truth
    if file.is_file():
        found["test"] = read_annotations(file)
        videos = [*found["val"].videos, *found["test"].videos]
        content = {"version": found["val"].version, "videos": videos}
        found[POOLED] = from_content(content, f"{found['val'].file} + {file.name}")
    return found


def main_split(truths: Mapping[str, Annotations]) -> str:
    """Where comparisons are made: on all known answers."""
    return POOLED if POOLED in truths else "val"


def open_replay(step: Step[Config], truths: Mapping[str, Annotations]) -> Replay:
    """The queries with known answers, ready to be answered under any setting of the peaks."""
    todo = jobs(truths[main_split(truths)].by_clip(), clips_folder(step))
    return Replay(todo, step.input("predictions"), step.out, step.config.localize)


def validate_files(step: Step[Config]) -> list[str]:
    """A line for each submission file, checked against the official annotations.

    Raises:
        EgolibError: a file is not what the challenge's server takes.
    """
    lines = []
    for split, own in read_splits(step).items():
        file = step.input("predictions") / f"{split}.json"
        if file.is_file():
            validate(read_submission(file), own, file=file)
            lines.append(f"{split}.json: valid, {len(own.queries)} queries")
    return lines


# --------------------------------------------------------------------------- scoring


def queries_of(annotations: Annotations, tracks: Mapping[str, Track]) -> Queries:
    """Truths and predictions of a split; a query without a track has an empty one."""
    known = {query.key for query in annotations.queries}
    own = {key: track for key, track in tracks.items() if key in known}
    return load_queries(annotations, build_submission(annotations, own))


def score(
    annotations: Annotations,
    tracks: Mapping[str, Track],
    ties: Ties = "expected",
    several: Any = "max_score",
) -> Scores:
    """The metrics of tracks on a split."""
    return evaluate(queries_of(annotations, tracks), ties=ties, several=several)


def score_splits(
    truths: Mapping[str, Annotations], tracks: Mapping[str, Track], cfg: EvaluateConfig
) -> dict[str, Scores]:
    """The metrics of each split, in the configured tie mode."""
    return {
        name: score(annotations, tracks, cfg.ap_ties, cfg.several)
        for name, annotations in truths.items()
    }


def constant(answers: Answers) -> dict[str, Track]:
    """The tracks with one and the same confidence, as officially."""
    return {key: replace(answer.track, score=1.0) for key, answer in answers.found.items()}


def recent(annotations: Annotations, seconds: float) -> np.ndarray:
    """(Q,) true for queries whose object was in view until shortly before the question."""
    ends = [query.query_frame - query.track[-1].frame - 1 for query in annotations.queries]
    return np.array(ends) <= seconds * CLIP_FPS


def score_recent(
    annotations: Annotations, tracks: Mapping[str, Track], seconds: float
) -> Numbers | None:
    """The metrics of the recent appearances alone; None where there is none."""
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
    found = {"constant": score(annotations, constant(answers)).table()}
    for kind in RANKINGS:
        ranked = _ranked(
            answers, {k: confidence(kind, a.evidence) for k, a in answers.found.items()}
        )
        found[kind] = score(annotations, ranked).table()
    crossed = cross_fitted(annotations, answers)
    if crossed is not None:
        found["calibrated"] = score(annotations, _ranked(answers, crossed)).table()
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

    All with constant confidences, ties averaged over orders. ``..._recent`` rows hold only
    the recent appearances.
    """
    config = step.config
    tracks = {"configured": constant(answers)}
    best = replay.single_best()
    tracks["single best detection"] = {k: replace(v, score=1.0) for k, v in best.items()}
    cfg = settings.configured(config)
    for name, changed in settings.compared(cfg, config.sweep).items():
        tracks[name] = constant(replay.answers(changed))
    rows = {name: score(annotations, own).table() for name, own in tracks.items()}
    for name, own in tracks.items():
        numbers = score_recent(annotations, own, config.evaluate.recent_sec)
        if numbers is not None and name in ("configured", "reflect"):
            rows[f"{name}_recent"] = numbers
    return rows


def sweep(
    step: Step[Config], replay: Replay, annotations: Annotations
) -> dict[str, dict[float, Numbers]]:
    """The metrics of each swept setting and value, the others as configured."""
    cfg = settings.configured(step.config)
    found = settings.sweeps(cfg, step.config.sweep)
    return {
        name: {
            value: score(annotations, constant(replay.answers(changed))).table()
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


def table(rows: Mapping[str, Numbers | Scores]) -> pd.DataFrame:
    """One row for each evaluation: the official six, then p and the band of tied orders."""
    import pandas as pd

    plain = {k: v.table() if isinstance(v, Scores) else v for k, v in rows.items()}
    return pd.DataFrame(plain).T


def used(step: Step[Config]) -> dict[str, float]:
    """The configured value of each setting that can be swept."""
    peaks = settings.configured(step.config).peaks
    return {name: getattr(peaks, name) for name in settings.SWEPT}


def curve_examples(
    annotations: Annotations, answers: Answers, count: int = 4
) -> tuple[list[Any], list[list[int]], list[str]]:
    """The first queries, for ``figures.score_curves``: starts, true frames, titles."""
    chosen = [q for q in annotations.queries if q.key in answers.found][:count]
    starts = [answers.found[query.key].start for query in chosen]
    truths = [[box.frame for box in query.track] for query in chosen]
    return starts, truths, [_title(query, answers.found[query.key]) for query in chosen]


def _title(query: Query, answer: Answer) -> str:
    kind = "peak" if answer.start.peak else "no peak: last frame"
    return f"{query.record.get('object_title')}: {kind}, track of {len(answer.track)} frames"


def strip_examples(
    annotations: Annotations, answers: Answers, count: int = 2
) -> list[tuple[Query, Answer]]:
    """The first queries whose answer starts at a peak (or just the first ones)."""
    known = [(q, answers.found[q.key]) for q in annotations.queries if q.key in answers.found]
    return ([pair for pair in known if pair[1].start.peak] or known)[:count]


def nested(scored: Mapping[str, Scores]) -> dict[str, Numbers]:
    """Metrics by split, for ``result.json``."""
    return {split: scores.table() for split, scores in scored.items()}


def sweep_metrics(found: Mapping[str, Mapping[float, Numbers]]) -> dict[str, Any]:
    """The swept metrics with values as text, for ``result.json``."""
    return {k: {f"{v:g}": numbers for v, numbers in own.items()} for k, own in found.items()}


def write_calibration(
    step: Step[Config], annotations: Annotations, answers: Answers
) -> Path | None:
    """``calibration.json``, fitted on all validation answers, for ``localize.calibration``."""
    calibration = fit(annotations, answers)
    return None if calibration is None else calibration.write(step.out / "calibration.json")


def require_sane(rows: Sequence[Numbers]) -> None:
    """Raises EgolibError where a number cannot be: outside its range, or AP above p."""
    for row in rows:
        for name in ("tAP@0.25", "stAP@0.25"):
            share = row["p_temporal@0.25" if name[0] == "t" else "p_spatio_temporal@0.25"]
            if not 0 <= row[name] <= share + 1e-9:
                raise EgolibError(f"{name} is {row[name]}, p is {share}")
        if not (0 <= row["recovery%"] <= 100 and 0 <= row["success%"] <= 100):
            raise EgolibError(f"recovery {row['recovery%']}, success {row['success%']}")


def summary(answers: Mapping[str, Answers]) -> dict[str, dict[str, float]]:
    """How many answers started at a peak, and how long they are, by split."""
    found = {}
    for split, own in answers.items():
        all_found = list(own.found.values())
        found[split] = {
            "answered": len(all_found),
            "skipped": len(own.skipped),
            "with_peak": sum(answer.start.peak is not None for answer in all_found),
            "mean_length": float(np.mean([len(answer.track) for answer in all_found] or [0])),
        }
    return found
