"""Accuracy of question answering with a closed set of answers, by reasoning type.

Legend: Q questions.

Jia et al. (arXiv 2210.03929): open questions ask for an action, object or state
(``query``), binary ones are answered by yes or no (``verify``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

OPEN, BINARY = "query", "verify"
MAX_TYPES = 7

#: ``official`` cuts a question's list of types after the seventh, ``all`` keeps every one.
TypeLimit = Literal["official", "all"]

#: ``official`` averages over batches, ``questions`` over questions.
Average = Literal["official", "questions"]

#: ``official`` counts repeated questions of padded samplers again, ``exact`` once.
Repeats = Literal["official", "exact"]


def counted_types(types: Sequence[str], limit: TypeLimit = "official") -> list[str]:
    """The reasoning types that a question counts for; one listed twice counts twice."""
    return list(types)[:MAX_TYPES] if limit == "official" else list(types)


def type_counts(
    right: np.ndarray, types: Sequence[Sequence[str]], limit: TypeLimit = "official"
) -> dict[str, tuple[int, int]]:
    """(right answers, questions) of every reasoning type that occurs, in sorted order.

    Args:
        right: (Q,) bool.
        types: the reasoning types of each question.
        limit: see ``counted_types``.
    """
    asked: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for hit, names in zip(right.tolist(), types, strict=True):
        counted = counted_types(names, limit)
        asked.update(counted)
        if hit:
            hits.update(counted)
    return {name: (hits[name], asked[name]) for name in sorted(asked)}


def accuracy_by_type(
    predicted: np.ndarray,
    answers: np.ndarray,
    types: Sequence[Sequence[str]],
    *,
    names: Iterable[str] = (),
    limit: TypeLimit = "official",
) -> dict[str, float]:
    """Fraction of right answers of every reasoning type; 0 for a type without a question.

    Args:
        predicted: (Q,) int, the answers given.
        answers: (Q,) int, the right ones.
        types: the reasoning types of each question.
        names: types that are listed even if no question has them.
        limit: see ``counted_types``.

    >>> accuracy_by_type(np.array([1, 2]), np.array([1, 1]), [["a"], ["a", "b"]])
    {'a': 0.5, 'b': 0.0}
    """
    counts = dict.fromkeys(names, (0, 0))
    counts |= type_counts(predicted == answers, types, limit)
    return {name: hits / max(asked, 1) for name, (hits, asked) in sorted(counts.items())}


def accuracy_table(
    predicted: np.ndarray, answers: np.ndarray, types: Sequence[Sequence[str]]
) -> dict[str, float]:
    """The three published columns in per cent: ``open``, ``binary`` and ``all`` questions.

    Args:
        predicted: (Q,) int, the answers given.
        answers: (Q,) int, the right ones.
        types: the reasoning types of each question.
    """
    right = predicted == answers
    chosen = {
        "open": np.array([OPEN in names for names in types], bool),
        "binary": np.array([BINARY in names for names in types], bool),
        "all": np.ones(len(types), bool),
    }
    return {
        name: 100.0 * float(right[rows].mean()) if rows.any() else 0.0
        for name, rows in chosen.items()
    }


def batch_accuracy(
    predicted: np.ndarray, answers: np.ndarray, batch: int, processes: int = 1
) -> list[float]:
    """The accuracy that the official code prints of each batch, in single precision.

    Official behaviour: the right answers of all W processes are divided by the questions
    of one and multiplied by W, so that W processes reach up to W squared.

    Args:
        predicted: (Q,) int, gathered batch after batch.
        answers: (Q,) int, the right ones.
        batch: questions of one process in a batch.
        processes: W.
    """
    right = (predicted == answers).astype(np.float32)
    starts = range(0, len(right), batch * processes)
    gathered = [right[start : start + batch * processes] for start in starts]
    own = [np.float32(max(len(part) // processes, 1)) for part in gathered]
    return [float(p.sum() / n * np.float32(processes)) for p, n in zip(gathered, own, strict=True)]


def overall_accuracy(
    predicted: np.ndarray, answers: np.ndarray, batch: int, average: Average = "official"
) -> float:
    """Fraction of right answers.

    Official behaviour: the mean of batches, in which a smaller last one weighs as much.

    Args:
        predicted: (Q,) int, the answers given.
        answers: (Q,) int, the right ones.
        batch: questions of a batch.
        average: ``questions`` takes the mean over questions.
    """
    if not len(answers):
        return 0.0
    if average == "questions":
        return float((predicted == answers).mean())
    return float(np.mean(batch_accuracy(predicted, answers, batch)))


def sampled_rows(count: int, processes: int, repeats: Repeats = "official") -> list[np.ndarray]:
    """The questions that each process of a distributed evaluation sees.

    Official behaviour: the first questions are repeated until all processes have equally
    many, and the repeats are counted.

    Args:
        count: Q.
        processes: number of processes.
        repeats: ``exact`` gives every question to one process only.
    """
    if repeats == "exact":
        return [np.arange(rank, count, processes) for rank in range(processes)]
    each = -(-count // processes)
    rows = np.arange(each * processes) % max(count, 1)
    return [rows[rank::processes] for rank in range(processes)]
