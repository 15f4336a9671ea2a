"""From a clip's candidates to its ranked moments, for both scores (section 11).

N candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from egolib.mq.config import InferConfig
from egolib.mq.localization.proposals import Proposals
from egolib.mq.localization.suppression import soft_nms, soft_nms_per_class
from egolib.ops.segments import Suppression, suppress

TIME_DIGITS, SCORE_DIGITS = 1, 6
POINT_DIGITS = (2, 4)  # of ActionFormer's times and scores

Record = dict[str, Any]


@dataclass(frozen=True)
class Ranked:
    """Ranked moments of a clip, best first.

    Args:
        segments_sec: (N, 2) float64 in the clip.
        scores: (N,) float64.
        labels: (N,) int64 classes.
        digits: of times and scores in result files, where they are rounded.
    """

    segments_sec: NDArray[np.floating]
    scores: NDArray[np.floating]
    labels: NDArray[np.int64]
    digits: tuple[int, int] = (TIME_DIGITS, SCORE_DIGITS)

    def records(self, names: Sequence[str], rounding: str = "official") -> list[Record]:
        """The moments as the result files have them.

        Official behaviour: times are rounded to 0.1 s, so that shorter moments vanish to
        zero length, and scores to 6 digits, so that small ones tie (ActionFormer: 0.01 s
        and 4 digits).

        Args:
            names: of the classes, by number.
            rounding: ``official`` or ``none``.
        """
        time, score = self.digits if rounding == "official" else (None, None)
        rows = zip(
            self.labels.tolist(), self.scores.tolist(), self.segments_sec.tolist(), strict=True
        )
        return [
            {
                "label": names[label],
                "score": _round(value, score),
                "segment": [_round(start, time), _round(end, time)],
            }
            for label, value, (start, end) in rows
        ]


def detect(proposals: Proposals, duration_sec: float, config: InferConfig) -> Ranked:
    """The moments of a clip whatever their class, after soft suppression.

    Official behaviour: a moment of another class decays a score, too.

    Args:
        proposals: of the clip.
        duration_sec: of the clip; moments are cut at its ends.
        config: decay and limit.
    """
    if config.suppression is not None:
        return _suppressed(proposals, duration_sec, config.suppression, config.rounding)
    soft = soft_nms if config.soft_nms == "official" else soft_nms_per_class
    picks, scores = soft(
        proposals.segments_sec,
        proposals.scores,
        proposals.labels,
        sigma=config.soft_nms_sigma,
        limit=config.limit,
        last_candidate=config.last_candidate,
    )
    return _ranked(proposals, picks, scores, duration_sec)


def retrieve(
    proposals: Proposals, duration_sec: float, queries: Iterable[int] | None, config: InferConfig
) -> Ranked:
    """The moments of the asked classes, by their score alone.

    Official behaviour: the limit counts over all asked classes together, so that a
    frequent class crowds out the others.

    Args:
        proposals: of the clip.
        duration_sec: of the clip; moments are cut at its ends.
        queries: numbers of the asked classes, in the order that decides ties; None asks
            for all (official behaviour for the test split).
        config: the limit. With ActionFormer's suppression these are its detections of the
            asked classes.
    """
    if config.suppression is not None:
        found = detect(proposals, duration_sec, config)
        rows = np.arange(len(found.labels))
        if queries is not None:
            rows = np.flatnonzero(np.isin(found.labels, list(queries)))
        return replace(
            found,
            segments_sec=found.segments_sec[rows],
            scores=found.scores[rows],
            labels=found.labels[rows],
        )
    if queries is None:
        rows = np.arange(len(proposals))
    else:
        groups = [np.flatnonzero(proposals.labels == q) for q in dict.fromkeys(queries)]
        if config.retrieval_limit == "per_class":
            groups = [_best(proposals.scores, group, config.limit) for group in groups]
        rows = np.concatenate([np.zeros(0, np.int64), *groups])
    limit = len(rows) if config.retrieval_limit == "per_class" else config.limit
    rows = _best(proposals.scores, rows, limit)
    return _ranked(proposals, rows, proposals.scores[rows], duration_sec)


def _suppressed(
    proposals: Proposals, duration_sec: float, settings: Suppression, rounding: str
) -> Ranked:
    """ActionFormer's detections.

    Official behaviour: times and scores are rounded before they are suppressed, too. What votes
    itself to NaN, a segment without length, is left out.
    """
    segments, scores = proposals.segments_sec, proposals.scores
    time, score = POINT_DIGITS
    if rounding == "official":
        segments, scores = segments.round(time), scores.round(score)
    found, kept, labels = suppress(
        segments.astype(np.float32), scores.astype(np.float32), proposals.labels, settings
    )
    real = np.isfinite(found).all(axis=1)
    inside = found[real].astype(np.float64).clip(0, duration_sec)
    return Ranked(inside, kept[real].astype(np.float64), labels[real], POINT_DIGITS)


def _best(scores: NDArray[np.floating], rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The rows with the highest scores, best first, equal ones in their order."""
    return rows[np.argsort(-scores[rows], kind="stable")[:limit]]


def _ranked(
    proposals: Proposals, rows: NDArray[np.int64], scores: NDArray[np.floating], duration_sec: float
) -> Ranked:
    segments = proposals.segments_sec[rows]
    inside = np.stack(
        [np.maximum(segments[:, 0], 0), np.minimum(segments[:, 1], duration_sec)], axis=1
    )
    return Ranked(inside, scores, proposals.labels[rows])


def _round(value: float, digits: int | None) -> float:
    return value if digits is None else round(value, digits)
