"""Evaluating scores: EgoMCQ, EPIC-KITCHENS-100 retrieval, Charades-Ego, EgoTaskQA, QFVS. No torch.

Scores are files with arrays by name, see ``formats.submission``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.metrics.multiple_choice import Names, egomcq_accuracy
from egolib.metrics.question_answering import Average, TypeLimit
from egolib.metrics.retrieval import Precision, charades_metrics, retrieval_metrics
from egolib.metrics.summarization import EmptyTags, Match, ZeroF1, mean_match
from egolib.vlp.benchmarks.question_scores import answer_accuracies
from egolib.vlp.data import charades, epic, qfvs
from egolib.vlp.data.charades import CharadesVideo
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.egotaskqa import Question as TaskQuestion
from egolib.vlp.data.egotaskqa import read_question_file
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.qfvs import Query
from egolib.vlp.formats import submission
from egolib.vlp.summarization.evaluation import evaluate_summaries
from egolib.vlp.summarization.selection import FRACTION, best_shots, summary_length

BENCHMARKS = ("egomcq", "epic", "charades", "egotaskqa", "qfvs")
PLACES = 4000  # of the published QFVS network: 20 segments of 200 shots


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


def evaluate_answers(
    questions: Sequence[TaskQuestion],
    scores: Mapping[str, np.ndarray],
    *,
    max_types: TypeLimit = "official",
    average: Average = "official",
    batch: int = 64,
    file: str | Path | None = None,
) -> dict[str, Any]:
    """EgoTaskQA accuracies in per cent: ``open``, ``binary``, ``all``, ``accuracy``, ``types``.

    Args:
        questions: Q, with their answers.
        scores: ``answers``, (Q, answers).
        max_types: reasoning types that a question counts for.
        average: of ``accuracy``, over batches or over questions.
        batch: questions of a batch, for the official average.
        file: of the scores, for errors.

    Raises:
        EgolibError: scores that do not fit the questions.
    """
    submission.check(scores, "egotaskqa", len(questions), file=file)
    found = answer_accuracies(
        scores["answers"].argmax(1), questions, max_types=max_types, average=average, batch=batch
    )
    types = {name: 100.0 * value for name, value in found["types"].items()}
    return found["table"] | {"accuracy": 100.0 * found["overall"]["accuracy"], "types": types}


def evaluate_shots(
    queries: Sequence[Query],
    tags: np.ndarray,
    scores: np.ndarray,
    *,
    fraction: float = FRACTION,
    empty_tags: EmptyTags = "official",
    zero_f1: ZeroF1 = "official",
) -> Match:
    """Mean precision, recall and F1, as fractions, of the summaries that shot scores give.

    Args:
        queries: Q of one video, with their reference summaries.
        tags: (n, concepts) 0 or 1.
        scores: (Q, n) of its shots for each query.
        fraction: of the shots that become a summary.
        empty_tags: how two shots without tags match.
        zero_f1: what F1 is where nothing matches; ``official`` is NaN, which the mean is too.

    Raises:
        EgolibError: scores that do not fit, or no shot is left.
    """
    if scores.shape != (len(queries), len(tags)):
        raise EgolibError(f"scores {scores.shape} for {len(queries)} queries and {len(tags)} shots")
    count = summary_length(len(tags), fraction)
    found = [best_shots(row, count) for row in scores]
    return mean_match(evaluate_summaries(found, queries, tags, empty_tags, zero_f1))


def read_summary_files(
    tags: str | Path, video: int, places: int = PLACES
) -> tuple[list[Query], np.ndarray]:
    """The queries of a QFVS video with their reference summaries, and its tags (n, concepts).

    Args:
        tags: ``Tags.mat``; the queries are read below ``Datasets/QFVS`` beside it.
        video: its number.
        places: of the network, padding included; reference shots end there.

    Raises:
        EgolibError: no such video, or a file that cannot be read.
    """
    matrices = qfvs.read_tags(tags)
    if not 0 < video <= len(matrices):
        raise EgolibError(f"no tags of video {video}", file=tags, remedy="give video=1 ...")
    found = matrices[video - 1]
    origin = Path(tags).parent / qfvs.ORIGIN
    return qfvs.read_queries(origin, video, len(found), places), found


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    benchmark: Literal["egomcq", "epic", "charades", "egotaskqa", "qfvs"] | None = None,
    names: Names = "official",
    precision: Precision = "official",
    empty_queries: Literal["official", "skip"] = "official",
    max_types: TypeLimit = "official",
    average: Average = "official",
    video: int = 1,
    fraction: float = FRACTION,
    places: int = PLACES,
    empty_tags: EmptyTags = "official",
    zero_f1: ZeroF1 = "official",
) -> dict[str, Any]:
    """Metrics of a score file against official annotations.

    Args:
        truth: ``egomcq.json``, an ``EPIC_100_retrieval_*.csv``, a
            ``CharadesEgo_v1_*_only1st.csv``, a ``formatted_*_qas_encode.json``, or QFVS'
            ``Tags.mat`` with ``Datasets/QFVS`` beside it. That very file is read;
            EPIC-KITCHENS sentences and relevancies of its name beside it are used where
            they are, and EgoTaskQA's answer set is read beside it.
        predictions: a score file.
        benchmark: by default told by the truth's name.
        names: of EgoMCQ's kinds of questions, ``official`` or ``by_value``.
        precision: of EPIC-KITCHENS, ``official`` or ``binary``.
        empty_queries: of EPIC-KITCHENS, ``official`` or ``skip``.
        max_types: of EgoTaskQA's reasoning types, ``official`` or ``all``.
        average: of EgoTaskQA's overall accuracy, ``official`` or ``questions``.
        video: of QFVS, the one whose shots were scored.
        fraction: of QFVS' shots that become a summary.
        places: of QFVS' network, padding included; reference shots end there.
        empty_tags: of QFVS, see ``EvaluateConfig``.
        zero_f1: of QFVS, see ``EvaluateConfig``.

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
    if kind == "qfvs":
        queries, tags = read_summary_files(truth, video, places)
        shots = scores["shots"]
        measured = evaluate_shots(
            queries, tags, shots, fraction=fraction, empty_tags=empty_tags, zero_f1=zero_f1
        )
        percent = {name: 100.0 * value for name, value in vars(measured).items()}
        return percent | {"queries": len(queries), "shots": len(tags)}
    if kind == "egotaskqa":
        asked = read_question_file(truth)
        return evaluate_answers(
            asked, scores, max_types=max_types, average=average, file=predictions
        )
    raise EgolibError(f"no benchmark {kind!r}", remedy=nearest(kind, BENCHMARKS))
