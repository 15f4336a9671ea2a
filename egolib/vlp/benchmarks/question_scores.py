"""How answers to the questions of EgoTaskQA are evaluated, and answers without a video. No torch.

Legend: Q questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from egolib.metrics.question_answering import (
    Average,
    TypeLimit,
    accuracy_by_type,
    accuracy_table,
    overall_accuracy,
)
from egolib.vlp.data.egotaskqa import Question


def answer_accuracies(
    predicted: np.ndarray,
    questions: Sequence[Question],
    *,
    max_types: TypeLimit = "official",
    average: Average = "official",
    batch: int = 64,
) -> dict[str, dict[str, float]]:
    """All accuracies of the answers given.

    Args:
        predicted: (Q,) int, the answers given.
        questions: what was asked.
        max_types: how many reasoning types a question counts for.
        average: how the overall accuracy is averaged.
        batch: questions of a batch of the evaluation, for the official average.

    Returns:
        ``table``: per cent of open, binary and all questions; ``types``: fraction by
        reasoning type; ``overall``: ``accuracy``, a fraction.
    """
    answers = np.array([question.answer_index for question in questions], np.int64)
    types = [question.reasoning for question in questions]
    overall = overall_accuracy(predicted, answers, batch, average)
    return {
        "table": accuracy_table(predicted, answers, types),
        "types": accuracy_by_type(predicted, answers, types, limit=max_types),
        "overall": {"accuracy": overall},
    }


def frequent_answers(train: Sequence[Question], questions: Sequence[Question]) -> np.ndarray:
    """(Q,) int: the most frequent training answer to the same words, else of all questions.

    What can be answered without looking at the video; the first of equals counts.
    """
    overall = Counter(question.answer_index for question in train)
    by_text: dict[str, Counter[int]] = {}
    for question in train:
        by_text.setdefault(question.text, Counter())[question.answer_index] += 1
    found = [by_text.get(question.text, overall).most_common(1)[0][0] for question in questions]
    return np.array(found, np.int64)


def most_frequent_answer(train: Sequence[Question], count: int) -> np.ndarray:
    """(count,) int: the most frequent training answer, to every question."""
    overall = Counter(question.answer_index for question in train)
    return np.full(count, overall.most_common(1)[0][0], np.int64)
