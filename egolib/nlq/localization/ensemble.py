"""Joining the predictions of several models (section 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from egolib.errors import EgolibError, nearest
from egolib.nlq.formats.submission import read as read_submission
from egolib.nlq.formats.submission import write as write_submission

Window = list[float]  # start, end, score, then whatever a step adds
Ranking = Literal["official", "cluster_vote"]

FROM_EACH = 4  # windows that each model adds to the pool
GAP_SEC = 2.0  # first windows whose centres are closer belong together
NMS_IOU = 0.5
KEPT = 5


def ensemble(
    models: Sequence[Sequence[Mapping[str, Any]]], ranking: Ranking = "official"
) -> list[dict[str, Any]]:
    """Prediction records that join those of several models, in the first one's order.

    The first windows of all models are clustered by their centres; each cluster gives
    one new window. The new windows and the first four of each model compete in a
    greedy suppression.

    Official behaviour: a new window competes with the *mean* of two scores, so that
    agreement of the models earns nothing; ``cluster_vote`` lets it compete with the
    sum of its cluster's scores.

    Raises:
        EgolibError: an unknown ranking, or a model lacks a question of the first one.
    """
    if ranking not in get_args(Ranking):
        raise EgolibError(
            f"unknown ranking {ranking!r}", remedy=nearest(ranking, get_args(Ranking))
        )
    by_key = [{_key(record): record for record in records} for records in models]
    results = []
    for record in models[0]:
        key = _key(record)
        for number, records in enumerate(by_key):
            if key not in records:
                raise EgolibError(
                    f"prediction file {number + 1} lacks a question of the first one", record=key
                )
        windows = [records[key]["predicted_times"] for records in by_key]
        joined = [w[:2] for w in join(windows, ranking)]
        results.append({**record, "predicted_times": joined})
    return results


def join(models: Sequence[Sequence[Window]], ranking: Ranking = "official") -> list[Window]:
    """The windows of one question, joined: always 5, the last one repeated if need be.

    Args:
        models: each model's windows (start, end, score), best first.
        ranking: see ``ensemble``.
    """
    pool = [list(window) for windows in models for window in windows[:FROM_EACH]]
    pool += cluster_windows([windows[0] for windows in models], ranking)
    kept = list_nms(pool, NMS_IOU, KEPT)
    return kept + [kept[-1]] * (KEPT - len(kept))


def cluster_windows(firsts: Sequence[Window], ranking: Ranking = "official") -> list[Window]:
    """One new window for each cluster of first windows, by descending sum of scores.

    The new window is the mean of the cluster's median member and its best one, for
    start, end and score. Among windows with equal centres the last one counts.
    """
    by_centre = {(w[0] + w[1]) / 2: list(w) for w in firsts}
    clusters: list[list[float]] = []
    for centre in sorted(by_centre):
        if clusters and centre - clusters[-1][-1] < GAP_SEC:
            clusters[-1].append(centre)
        else:
            clusters.append([centre])
    new = [_new_window([by_centre[c] for c in cluster]) for cluster in clusters]
    new.sort(key=lambda w: w[4], reverse=True)
    if ranking == "cluster_vote":
        new = [[start, end, total, 0, total] for start, end, _, _, total in new]
    return new


def _new_window(members: list[Window]) -> Window:
    """Start, end, mean score, 0, sum of scores; members are sorted by centre."""
    best = max(members, key=lambda w: w[2])
    upper, lower = members[len(members) // 2], members[(len(members) - 1) // 2]
    middle = upper if upper[2] > lower[2] else lower
    mean = [(a + b) / 2 for a, b in zip(middle[:3], best[:3], strict=True)]
    return [*mean, 0, sum(w[2] for w in members)]


def list_nms(windows: Sequence[Window], threshold: float, most: int) -> list[Window]:
    """Greedy suppression by element 2 (ties in input order); drops IoU above ``threshold``.

    Official behaviour: a single window comes back as it is.

    Args:
        windows: start, end, score and whatever else.
        threshold: of the IoU.
        most: how many are kept.
    """
    if len(windows) == 1:
        return list(windows)
    rest = sorted(windows, key=lambda w: -w[2])
    kept: list[Window] = []
    while rest and len(kept) < most:
        best, *others = rest
        kept.append(best)
        rest = [w for w in others if not overlap(best, w) > threshold]
    return kept


def overlap(a: Window, b: Window) -> float:
    """Intersection over hull; 0 where the hull is empty."""
    hull = max(a[1], b[1]) - min(a[0], b[0])
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / hull if hull != 0 else 0.0


def _key(record: Mapping[str, Any]) -> tuple[str, str, int]:
    return record["clip_uid"], record["annotation_uid"], record["query_idx"]


def ensemble_files(
    inputs: Sequence[str | Path], out: str | Path, ranking: Ranking = "official"
) -> Path:
    """Joins prediction files into a new one; returns its path.

    Args:
        inputs: two submission files or more.
        out: the file to write.
        ranking: see ``ensemble``.
    """
    if len(inputs) < 2:
        raise EgolibError("an ensemble needs at least two prediction files")
    return write_submission(out, ensemble([read_submission(path) for path in inputs], ranking))
