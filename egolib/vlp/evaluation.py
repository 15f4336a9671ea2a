"""Evaluating scores: EgoMCQ, EPIC-KITCHENS-100 retrieval, Charades-Ego. No torch here.

Scores are files with arrays by name, see ``formats.submission``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.metrics.multiple_choice import Names, egomcq_accuracy
from egolib.metrics.retrieval import Precision, charades_metrics, retrieval_metrics
from egolib.vlp.data import charades, epic
from egolib.vlp.data.charades import CharadesVideo
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.formats import submission

BENCHMARKS = ("egomcq", "epic", "charades")


def evaluate_egomcq(
    questions: Sequence[Question],
    scores: Mapping[str, np.ndarray],
    names: Names = "official",
    *,
    file: str | Path | None = None,
) -> dict[str, dict[str, float]]:
    """Accuracies in per cent: ``dual``, ``fusion``, ``ensemble``, each by kind of question.

    Args:
        questions: Q, with their answers.
        scores: ``dual`` and perhaps ``fusion``, (Q, choices) each.
        names: see ``metrics.multiple_choice.accuracy_by_kind``.
        file: of the scores, for errors.

    Raises:
        EgolibError: scores that do not fit the questions.
    """
    choices = len(questions[0].choices) if questions and questions[0].choices else None
    submission.check(scores, "egomcq", len(questions), choices, file=file)
    answers = np.array([q.answer for q in questions], np.int64)
    kinds = np.array([q.kind for q in questions], np.int64)
    return egomcq_accuracy(scores["dual"], scores.get("fusion"), answers, kinds, names)


def evaluate_epic(
    split: EpicSplit,
    scores: Mapping[str, np.ndarray],
    precision: Precision = "official",
    empty_queries: Literal["official", "skip"] = "official",
    *,
    file: str | Path | None = None,
) -> dict[str, float]:
    """nDCG and mAP in per cent; see ``metrics.retrieval.retrieval_metrics``.

    Args:
        split: clips, sentences and their relevancy.
        scores: ``similarity`` and perhaps ``by_text``, (clips, sentences) each.
        precision: ``official`` counts graded relevancies.
        empty_queries: what a query without a relevant item does.
        file: of the scores, for errors.

    Raises:
        EgolibError: scores that do not fit the split.
    """
    submission.check(scores, "epic", *split.relevancy.shape, file=file)
    similarity, by_text = scores["similarity"], scores.get("by_text")
    return retrieval_metrics(similarity, split.relevancy, precision, by_text, empty_queries)


def evaluate_charades(
    videos: Sequence[CharadesVideo],
    scores: Mapping[str, np.ndarray],
    *,
    file: str | Path | None = None,
) -> dict[str, float]:
    """Mean average precision over classes, as fractions.

    Args:
        videos: N, with the classes of their actions.
        scores: ``scores``, (N, classes).
        file: of the scores, for errors.

    Raises:
        EgolibError: scores that do not fit the videos, or too few classes.
    """
    submission.check(scores, "charades", len(videos), file=file)
    matrix = scores["scores"]
    last = max((c for video in videos for c in video.classes), default=-1)
    if last >= matrix.shape[1]:
        raise EgolibError(
            f"scores of {matrix.shape[1]} classes, but class {last} occurs", file=file
        )
    return charades_metrics(matrix, charades.targets(list(videos), matrix.shape[1]))


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    benchmark: Literal["egomcq", "epic", "charades"] | None = None,
    names: Names = "official",
    precision: Precision = "official",
    empty_queries: Literal["official", "skip"] = "official",
) -> dict[str, Any]:
    """Metrics of a score file against official annotations.

    Args:
        truth: ``egomcq.json``, an ``EPIC_100_retrieval_*.csv`` or a
            ``CharadesEgo_v1_*_only1st.csv``. That very file is read; EPIC-KITCHENS sentences
            and relevancies of its name beside it are used where they are.
        predictions: a score file.
        benchmark: by default told by the truth's name.
        names: of EgoMCQ's kinds of questions, ``official`` or ``by_value``.
        precision: of EPIC-KITCHENS, ``official`` or ``binary``.
        empty_queries: of EPIC-KITCHENS, ``official`` or ``skip``.

    Raises:
        EgolibError: a file that cannot be read, or scores that do not fit.
    """
    kind = benchmark or submission.benchmark_of(truth)
    scores = submission.read(predictions)
    if kind == "egomcq":
        return dict(evaluate_egomcq(read_egomcq(truth), scores, names, file=predictions))
    if kind == "epic":
        split = epic.read_epic_table(truth)
        relevancy = epic.describe_relevancy(split.relevancy) | {"source": split.source}
        found = evaluate_epic(split, scores, precision, empty_queries, file=predictions)
        return found | {"relevancy": relevancy}
    if kind == "charades":
        return dict(evaluate_charades(charades.read_videos(truth), scores, file=predictions))
    raise EgolibError(f"no benchmark {kind!r}", remedy=nearest(kind, BENCHMARKS))
