"""From scores to a summary, and summaries that no network made.

Legend: n shots, k shots of the summary, R shots of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from egolib.errors import EgolibError

FRACTION = 0.02


def summary_length(shots: int, fraction: float = FRACTION) -> int:
    """Shots that a summary keeps: a fraction, rounded down.

    Raises:
        EgolibError: none is left.
    """
    kept = int(shots * fraction)
    if kept < 1:
        raise EgolibError(
            f"{fraction:g} of {shots} shots is less than one",
            remedy=f"a fraction of {1 / max(shots, 1):.3g} keeps one",
        )
    return kept


def best_shots(scores: np.ndarray, count: int) -> np.ndarray:
    """(k,) int64 shots with the highest scores, best first; the earlier of equal ones first.

    The official order of equal scores is undefined. Neighbours are not excluded.

    Args:
        scores: (n,) float.
        count: k.
    """
    return np.argsort(-np.asarray(scores), kind="stable")[:count]


def random_summary(shots: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(k,) int64 different shots, drawn at random.

    Args:
        shots: n.
        count: k.
        rng: draws them.
    """
    return np.sort(rng.choice(shots, count, replace=False))


def uniform_summary(shots: int, count: int) -> np.ndarray:
    """(k,) int64: the middle shot of each of k equal parts of the video."""
    return (2 * np.arange(count) + 1) * shots // (2 * count)


def best_possible_summary(reference: Sequence[int], tags: np.ndarray, count: int) -> np.ndarray:
    """(k,) int64: a summary that no other one of k shots beats.

    Reference shots that show a concept match themselves with a similarity of 1, which
    nothing exceeds; with all of them in it, further shots can only lower precision.

    Args:
        reference: the reference shots, from 0.
        tags: (n, concepts) 0 or 1.
        count: k.
    """
    wanted = [shot for shot in dict.fromkeys(reference) if tags[shot].any()]
    others = np.setdiff1d(np.arange(len(tags)), wanted)
    return np.concatenate([np.asarray(wanted, np.int64), others])[:count]
