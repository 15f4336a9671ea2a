"""How summaries are measured, and summaries that no network made. No torch.

Legend: n shots, k shots of a summary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from egolib.metrics.summarization import EmptyTags, Match, ZeroF1, match_summaries, mean_match
from egolib.vlp.data.qfvs import Query
from egolib.vlp.summarization.selection import (
    best_possible_summary,
    random_summary,
    uniform_summary,
)

DRAWS = 20  #: random summaries of a query


def evaluate_summaries(
    found: Sequence[Sequence[int] | np.ndarray],
    queries: Sequence[Query],
    tags: np.ndarray,
    empty_tags: EmptyTags = "official",
    zero_f1: ZeroF1 = "official",
) -> list[Match]:
    """Precision, recall and F1 of every query's summary.

    Args:
        found: the summaries.
        queries: with their reference summaries.
        tags: (n, concepts) of the video.
        empty_tags: how two shots without tags match.
        zero_f1: what F1 is where nothing matches.
    """
    return [
        match_summaries(list(shots), query.oracle, tags, empty_tags, zero_f1)
        for shots, query in zip(found, queries, strict=True)
    ]


def reference_points(
    queries: Sequence[Query],
    tags: np.ndarray,
    count: int,
    empty_tags: EmptyTags = "official",
    zero_f1: ZeroF1 = "official",
) -> dict[str, Match]:
    """What summaries without a network reach: ``random``, ``uniform``, ``best_possible``.

    Args:
        queries: of one video, with their reference summaries.
        tags: (n, concepts) 0 or 1.
        count: k.
        empty_tags: how two shots without tags match.
        zero_f1: what F1 is where nothing matches.
    """
    rng, shots = np.random.default_rng(0), len(tags)
    drawn = [random_summary(shots, count, rng) for _ in range(DRAWS * len(queries))]
    found = {
        "random": (drawn, list(queries) * DRAWS),
        "uniform": ([uniform_summary(shots, count)] * len(queries), queries),
        "best_possible": (
            [best_possible_summary(query.oracle, tags, count) for query in queries],
            queries,
        ),
    }
    return {
        name: mean_match(evaluate_summaries(summaries, asked, tags, empty_tags, zero_f1))
        for name, (summaries, asked) in found.items()
    }
