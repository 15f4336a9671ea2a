"""How well one summary of a video matches another: F1 of a maximum-weight matching.

Legend: P predicted shots, R reference shots, C concepts.

Sharghi et al. (CVPR 2017, section 5): two shots are as similar as the intersection over
union of the concepts that they show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from egolib.errors import EgolibError

#: ``official`` gives two shots without any concept a similarity of 0, ``equal`` one of 1.
EmptyTags = Literal["official", "equal"]

#: ``official`` is NaN where nothing matches, ``zero`` is 0.
ZeroF1 = Literal["official", "zero"]


@dataclass(frozen=True)
class Match:
    """Fractions: matched similarity over predicted shots, over reference shots, and their F1."""

    precision: float
    recall: float
    f1: float


def tag_similarity(
    predicted: np.ndarray, reference: np.ndarray, empty_tags: EmptyTags = "official"
) -> np.ndarray:
    """(P, R) float64 intersection over union of the concepts of two lists of shots.

    Official behaviour: a shot without concepts does not even match itself.

    Args:
        predicted: (P, C) 0 or 1.
        reference: (R, C) 0 or 1.
        empty_tags: ``equal`` makes two shots without concepts the same.

    >>> tag_similarity(np.array([[1, 1, 0]]), np.array([[1, 0, 0], [0, 0, 1]])).tolist()
    [[0.5, 0.0]]
    """
    a, b = np.asarray(predicted, np.float64), np.asarray(reference, np.float64)
    shared = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - shared
    similarity: np.ndarray = shared / np.maximum(union, 1)
    if empty_tags == "equal":
        similarity[union == 0] = 1.0
    return similarity


def match_summaries(
    predicted: Sequence[int],
    reference: Sequence[int],
    tags: np.ndarray,
    empty_tags: EmptyTags = "official",
    zero_f1: ZeroF1 = "official",
) -> Match:
    """Precision, recall and F1 of a summary.

    Shots are paired one to one so that the sum of their similarities is largest; repeated
    shots count as several.

    Args:
        predicted: shots from 0; negative ones count from the end, as officially.
        reference: shots from 0.
        tags: (shots, C) 0 or 1.
        empty_tags: see ``tag_similarity``.
        zero_f1: what F1 is where nothing matches.

    Raises:
        EgolibError: one of the summaries is empty, or the tags lack a shot.
    """
    from scipy.optimize import linear_sum_assignment  # slow to load, and for summaries alone

    weights = tag_similarity(_rows(predicted, tags), _rows(reference, tags), empty_tags)
    total = float(weights[linear_sum_assignment(weights, maximize=True)].sum())
    precision, recall = total / len(predicted), total / len(reference)
    if total == 0:
        return Match(0.0, 0.0, float("nan") if zero_f1 == "official" else 0.0)
    return Match(precision, recall, 2 * precision * recall / (precision + recall))


def _rows(shots: Sequence[int], tags: np.ndarray) -> np.ndarray:
    if not len(shots):
        raise EgolibError(
            "an empty summary cannot be matched",
            remedy="give every query reference shots, and let the summary keep a shot at least",
        )
    places = np.asarray(shots, np.int64)
    if not -len(tags) <= places.min() <= places.max() < len(tags):
        raise EgolibError(f"shots {places.min()} to {places.max()}, the tags have {len(tags)}")
    return tags[places]


def mean_match(matches: Sequence[Match]) -> Match:
    """The means of precision, recall and F1 over the queries of a video, each for itself.

    Official behaviour: one query without a match makes the mean F1 NaN.
    """
    if not matches:
        raise EgolibError("no query was judged")
    values = np.array([(m.precision, m.recall, m.f1) for m in matches])
    return Match(*values.mean(0).tolist())


def summary_table(videos: Mapping[int, Match]) -> dict[str, float]:
    """F1 of every video and their average in per cent, as published tables have them.

    >>> summary_table({1: Match(0.5, 0.5, 0.5), 2: Match(0.6, 0.6, 0.6)})
    {'video 1': 50.0, 'video 2': 60.0, 'average': 55.0}
    """
    rows = {f"video {video}": 100.0 * match.f1 for video, match in sorted(videos.items())}
    return rows | {"average": float(np.mean(list(rows.values())))}
