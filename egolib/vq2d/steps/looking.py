"""Examples that the pages of vq2d show; nothing here needs torch."""

from __future__ import annotations

from typing import Any

from egolib.vq2d.data.annotations import Annotations, Query
from egolib.vq2d.localization.answers import Answers
from egolib.vq2d.localization.localize import Answer


def curve_examples(
    annotations: Annotations, answers: Answers, count: int = 4
) -> tuple[list[Any], list[list[int]], list[str]]:
    """The first queries, for ``figures.score_curves``: starts, true frames, titles.

    Args:
        annotations: of one split.
        answers: to its queries.
        count: how many.
    """
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
    """The first queries whose answer starts at a peak (or just the first ones).

    Args:
        annotations: of one split.
        answers: to its queries.
        count: how many.
    """
    known = [(q, answers.found[q.key]) for q in annotations.queries if q.key in answers.found]
    return ([pair for pair in known if pair[1].start.peak] or known)[:count]
