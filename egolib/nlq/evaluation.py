"""Scoring predictions in the submission format against official annotations (section 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.records import first_of
from egolib.metrics.moments import THRESHOLDS, TOP_K, Recall, pack, recall
from egolib.nlq.data.truth import Truth, oddities, read_truth
from egolib.nlq.formats.submission import oddities as submission_oddities
from egolib.nlq.formats.submission import read as read_submission

if TYPE_CHECKING:
    import pandas as pd

Missing = Literal["official", "strict"]
OVERLAPS = tuple(n / 20 for n in range(20))  # of curves
SUMMARY_TOP_K = (1, 5)  # five windows are kept, so that R@10 equals R@5


@dataclass(frozen=True)
class Evaluation:
    """Scores, and what they rest on.

    Args:
        recall: the metric.
        evaluated: predictions that were scored; duplicates count each.
        questions: questions of the annotations.
        missing: questions without a prediction.
        duplicates: predictions for a question that had one already.
    """

    recall: Recall
    evaluated: int
    questions: int
    missing: int
    duplicates: int

    @property
    def coverage(self) -> float:
        """Fraction of the questions that have a prediction."""
        return (self.questions - self.missing) / max(self.questions, 1)

    def printed(self) -> dict[str, float]:
        """Percentages as the official evaluators print them, with the coverage."""
        found = self.recall.table()
        if 1 in self.recall.top_k:
            found["mean R@1"] = 100 * self.recall.mean_recall_at_1
        return found | {"mIoU": 100 * self.recall.mean_iou, "coverage": 100 * self.coverage}

    def percentages(self) -> dict[str, float]:
        """What claims, tables and ``result.json`` rest on, by plain names."""
        recall = self.recall
        found = {
            f"r{k}_at_{t:g}": 100 * recall.at(k, t)
            for k in recall.top_k
            if k in SUMMARY_TOP_K
            for t in recall.thresholds
        }
        mean = {"mean_r1": 100 * recall.mean_recall_at_1} if 1 in recall.top_k else {}
        return found | mean | {"miou": 100 * recall.mean_iou}

    def counts(self) -> dict[str, int]:
        """What the metrics rest on."""
        return {
            "evaluated": self.evaluated,
            "questions": self.questions,
            "missing": self.missing,
            "duplicates": self.duplicates,
        }


def evaluate(
    results: Sequence[Mapping[str, Any]],
    truth: Truth,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    top_k: Sequence[int] = TOP_K,
    missing: Missing = "official",
    file: str | Path | None = None,
) -> Evaluation:
    """Scores prediction records.

    Official behaviour: the mean runs over the submitted records, so missing questions
    cost nothing and duplicates count twice. ``missing="strict"`` averages over all
    questions of the annotations and refuses duplicates.

    Args:
        results: records with ``clip_uid``, ``annotation_uid``, ``query_idx`` and
            ``predicted_times`` (best first).
        truth: the true windows.
        thresholds: of the IoU; more than that is a hit.
        top_k: how many first windows count.
        missing: ``official`` or ``strict``.
        file: where the records come from, for errors.

    Raises:
        EgolibError: a record names an unknown question (the first one is given), or an
            unknown ``missing``.
    """
    if missing not in get_args(Missing):
        raise EgolibError(f"missing is {missing!r}", remedy=nearest(missing, get_args(Missing)))
    rows = _rows(results, truth, file)
    found = np.unique(rows)
    absent = truth.questions - int(truth.asked[found].sum())
    duplicates = len(rows) - len(found)
    lists = [record["predicted_times"] for record in results]
    if missing == "strict":
        if duplicates:
            raise EgolibError(f"{duplicates} questions have two predictions", file=file)
        unanswered = np.setdiff1d(np.flatnonzero(truth.asked), found)
        rows, lists = np.concatenate([rows, unanswered]), lists + [[]] * len(unanswered)
    scores = recall(pack(lists, max(top_k)), truth.windows[rows], thresholds, top_k)
    return Evaluation(scores, len(rows), truth.questions, absent, duplicates)


def recall_curves(
    results: Sequence[Mapping[str, Any]], truth: Truth
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """R@1 and R@5 in percent against the overlap that a hit must exceed.

    Args:
        results: prediction records.
        truth: the true windows.

    Returns:
        (T,) overlaps and (T,) percentages by name.
    """
    found = evaluate(results, truth, thresholds=OVERLAPS, top_k=SUMMARY_TOP_K).recall
    return {
        f"R@{k}": (np.array(OVERLAPS), 100 * found.values[:, n])
        for n, k in enumerate(SUMMARY_TOP_K)
    }


def _rows(
    results: Sequence[Mapping[str, Any]], truth: Truth, file: str | Path | None
) -> np.ndarray:
    """(Q,) the truth's row of each record."""
    rows = np.empty(len(results), np.int64)
    for number, record in enumerate(results):
        first, count = truth.rows.get((record["clip_uid"], record["annotation_uid"]), (0, 0))
        if not 0 <= record["query_idx"] < count:
            raise EgolibError(
                f"clip {record['clip_uid']}, annotation {record['annotation_uid']}, query "
                f"{record['query_idx']} is not in the annotations",
                file=file,
                record=number,
                remedy="check that predictions and annotations are of the same split and version",
            )
        rows[number] = first + record["query_idx"]
    return rows


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    missing: Missing = "official",
    thresholds: Sequence[float] = THRESHOLDS,
    top_k: Sequence[int] = TOP_K,
) -> dict[str, Any]:
    """Metrics by name (percent) of a submission file against an annotation file, with counts
    and warnings about windows that nobody can want.

    Args:
        truth: official annotations, or JSON lines.
        predictions: a submission file.
        missing: ``official`` takes the mean over what was submitted, ``strict`` over all
            questions.
        thresholds: of the IoU; more than that is a hit.
        top_k: how many first windows count.

    Raises:
        EgolibError: a file is malformed, or a prediction is of an unknown question.
    """
    results, known = read_submission(predictions), read_truth(truth)
    found = evaluate(
        results,
        known,
        thresholds=thresholds,
        top_k=top_k,
        missing=missing,
        file=predictions,
    )
    warnings = [*oddities(known), *submission_oddities(results, known)]
    return {
        "metrics": found.printed(),
        "missing": missing,
        "counts": found.counts(),
        "warnings": first_of(warnings),
    }


def table_of(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row for each evaluation, in percent."""
    import pandas as pd

    rows = {name: {**e.percentages(), "questions": e.evaluated} for name, e in evaluations.items()}
    return pd.DataFrame(rows).T.astype({"questions": int})
