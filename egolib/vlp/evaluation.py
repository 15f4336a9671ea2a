"""Judging scores: EgoMCQ, EPIC-KITCHENS-100 retrieval, Charades-Ego. No torch here.

Scores are files with arrays by name (``.npz``), as ``write_scores`` makes them:
``dual`` and ``fusion`` (Q, 5) for EgoMCQ; ``similarity`` (clips, sentences), and
``by_text`` where re-ranking gave another matrix for that direction; ``scores``
(videos, classes) for Charades-Ego.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from egolib.errors import EgolibError, nearest
from egolib.io.records import atomic_path
from egolib.metrics.multiple_choice import Names, egomcq_accuracy
from egolib.metrics.retrieval import Precision, charades_metrics, retrieval_metrics
from egolib.vlp.data import charades, epic
from egolib.vlp.data.charades import CharadesVideo
from egolib.vlp.data.egoclip import Question, read_egomcq
from egolib.vlp.data.epic import EpicSplit


def write_scores(path: str | Path, arrays: Mapping[str, np.ndarray | None]) -> Path:
    """Writes arrays by name; None is left out."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **{k: v for k, v in arrays.items() if v is not None})  # type: ignore[arg-type]
    return Path(path)


def read_scores(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a score file.

    Raises:
        EgolibError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError) as error:
        raise EgolibError(f"not a readable score file: {error}", file=path) from error


def evaluate_egomcq(
    questions: Sequence[Question], scores: Mapping[str, np.ndarray], names: Names = "official"
) -> dict[str, dict[str, float]]:
    """Accuracies in per cent: ``dual``, ``fusion``, ``ensemble``, each by kind of question."""
    answers = np.array([q.answer for q in questions], np.int64)
    kinds = np.array([q.kind for q in questions], np.int64)
    dual = _matching(scores, "dual", len(questions))
    return egomcq_accuracy(dual, scores.get("fusion"), answers, kinds, names)


def evaluate_epic(
    split: EpicSplit,
    scores: Mapping[str, np.ndarray],
    precision: Precision = "official",
    empty_queries: Literal["official", "skip"] = "official",
) -> dict[str, float]:
    """nDCG and mAP in per cent; see ``metrics.retrieval.retrieval_metrics``."""
    similarity = _matching(scores, "similarity", len(split.clips))
    by_text = scores.get("by_text")
    return retrieval_metrics(similarity, split.relevancy, precision, by_text, empty_queries)


def evaluate_charades(
    videos: Sequence[CharadesVideo], scores: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Mean average precision over classes, as fractions."""
    matrix = _matching(scores, "scores", len(videos))
    return charades_metrics(matrix, charades.targets(list(videos), matrix.shape[1]))


def evaluate_files(
    truth: str | Path, predictions: str | Path, benchmark: str | None = None, **options: Any
) -> dict[str, Any]:
    """Metrics of a score file against official annotations.

    Args:
        truth: ``egomcq.json``, an ``EPIC_100_retrieval_*.csv`` or a
            ``CharadesEgo_v1_*_only1st.csv``.
        predictions: a score file.
        benchmark: ``egomcq``, ``epic`` or ``charades``; by default told by the truth's name.
        options: of that benchmark's evaluation.
    """
    truth, scores = Path(truth), read_scores(predictions)
    kind = benchmark or _benchmark(truth)
    if kind == "egomcq":
        return evaluate_egomcq(read_egomcq(truth), scores, **options)
    if kind == "epic":
        split = epic.read_epic_split(truth.parent, truth.stem.rsplit("_", 1)[1])
        relevancy = epic.describe_relevancy(split.relevancy) | {"source": split.source}
        return evaluate_epic(split, scores, **options) | {"relevancy": relevancy}
    if kind == "charades":
        return evaluate_charades(charades.read_videos(truth), scores, **options)
    raise EgolibError(
        f"no benchmark {kind!r}", remedy=nearest(kind, ["egomcq", "epic", "charades"])
    )


def _benchmark(truth: Path) -> str:
    prefixes = {"egomcq": "egomcq", "EPIC_100": "epic", "CharadesEgo": "charades"}
    for prefix, kind in prefixes.items():
        if truth.name.startswith(prefix):
            return kind
    raise EgolibError(
        "the benchmark cannot be told from the name", file=truth, remedy="give benchmark=egomcq"
    )


def _matching(scores: Mapping[str, np.ndarray], name: str, rows: int) -> np.ndarray:
    if name not in scores:
        raise EgolibError(f"the score file has no {name!r}", remedy=nearest(name, scores))
    if len(scores[name]) != rows:
        raise EgolibError(f"{len(scores[name])} rows of scores for {rows} records")
    return scores[name]
