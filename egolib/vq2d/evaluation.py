"""From annotation and submission files to the numbers of VQ2D."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import first_of
from egolib.io.schema import require_unique
from egolib.metrics.box_tracks import Tracks, pack_tracks
from egolib.metrics.visual_query import Choice, Queries, Scores, Ties, evaluate, evaluate_pairings
from egolib.vq2d.data.annotations import Annotations, Query, read_annotations
from egolib.vq2d.formats.submission import oddities, read, validate

PAIRINGS = {"all": ("all", "all")}
"""Subsets that are reported by default: name -> (crop areas, response areas)."""

_truth_row = itemgetter("frame_number", "x", "y", "width", "height")
_predicted_row = itemgetter("fno", "x1", "y1", "x2", "y2")


def load_queries(annotations: Annotations, submission: dict[str, Any]) -> Queries:
    """Truths and predictions of all valid queries, in file order, as packed arrays.

    Args:
        annotations: with response tracks.
        submission: a validated one.

    Raises:
        EgolibError: the annotations hold no response tracks, or one with gaps.
    """
    entries = {
        prediction["annotation_uid"]: prediction["query_sets"]
        for video in submission["results"]["videos"]
        for clip in video["clips"]
        for prediction in clip["predictions"]
    }
    queries = annotations.queries
    require_unique([query.key for query in queries], "annotation_uid", file=annotations.file)
    truths = [query.record.get("response_track", ()) for query in queries]
    if queries and not any(truths):
        raise EgolibError(
            "these annotations hold no response tracks",
            file=annotations.file,
            remedy="the test file has none; evaluate on validation, or on the challenge server",
        )
    found = [entries[query.annotation_uid][query.query_set] for query in queries]
    rows = np.array([_truth_row(box) for track in truths for box in track], np.float64)
    rows = rows.reshape(-1, 5)
    rows[:, 3:] += rows[:, 1:3]  # corners
    crops = (query.record["visual_crop"] for query in queries)
    return Queries(
        truth=_pack(rows, truths, queries, annotations.file),
        predicted=_pack(
            [_predicted_row(box) for entry in found for box in entry["bboxes"]],
            [entry["bboxes"] for entry in found],
            queries,
            "submission",
        ),
        query=np.arange(len(queries)),
        scores=np.array([entry["score"] for entry in found], np.float64),
        crop_areas=np.array([crop["width"] * crop["height"] for crop in crops], np.float64),
    )


def _pack(
    rows: Any, tracks: Sequence[Sequence[Any]], queries: Sequence[Query], file: str | Path
) -> Tracks:
    try:
        return pack_tracks(np.asarray(rows, np.float64), [len(track) for track in tracks])
    except ValueError as error:
        index = int(str(error).split()[1].rstrip(":")) if str(error).startswith("track") else 0
        what = str(error).split(": ", 1)[-1]
        raise EgolibError(what, file=file, record=queries[index].key) from error


def evaluate_content(
    annotations: Annotations,
    submission: dict[str, Any],
    *,
    ap_ties: Ties | Sequence[int] = "official",
    several: Choice = "max_score",
) -> Scores:
    """Validates a submission and evaluates it on all valid queries.

    Args:
        annotations: with response tracks.
        submission: the content of a file.
        ap_ties: order of equal scores, see ``metrics.visual_query.average_precision``.
        several: which of several answers to a query counts for recovery and success.
    """
    validate(submission, annotations)
    return evaluate(load_queries(annotations, submission), ties=ap_ties, several=several)


def evaluate_files(
    truth: str | Path,
    predictions: str | Path,
    *,
    ap_ties: Ties = "official",
    several: Choice = "max_score",
) -> dict[str, Any]:
    """The metrics of a submission file, by name, with counts and what was skipped.

    Args:
        truth: annotations with response tracks.
        predictions: a submission file.
        ap_ties: order of equal scores: ``official``, ``file`` or ``expected``.
        several: which of several answers to a query counts for recovery and success:
            ``max_score`` or ``max_stiou``.

    Raises:
        EgolibError: a file is missing or malformed, or they do not belong together.
    """
    annotations = read_annotations(truth)
    submission = read(predictions)
    validate(submission, annotations, file=predictions)
    queries = load_queries(annotations, submission)
    return {
        "metrics": evaluate(queries, ties=ap_ties, several=several).table(),
        "ap_ties": ap_ties,
        "version": annotations.version,
        "counts": annotations.counts(),
        "skipped": dict(annotations.skipped.reasons),
        "warnings": first_of(oddities(submission)) + first_of(annotations.oddities()),
    }


def report(scores: Scores) -> list[str]:
    """Lines for people: the official six, and how far the AP hangs on the order of ties."""
    t, s = scores.temporal, scores.spatio_temporal
    return [
        f"{scores.n_queries} queries, ties: {scores.ties}",
        f"tAP      {t.values.mean():.3f}   tAP@0.25  {t.values[0]:.3f}"
        f"   (p {t.fraction[0]:.3f}, ties {t.band[0, 0]:.3f} to {t.band[0, 1]:.3f})",
        f"stAP     {s.values.mean():.3f}   stAP@0.25 {s.values[0]:.3f}"
        f"   (p {s.fraction[0]:.3f}, ties {s.band[0, 0]:.3f} to {s.band[0, 1]:.3f})",
        f"recovery {scores.recovery[0]:.3f} %   success {scores.success[0]:.3f} %",
    ]


__all__ = [
    "PAIRINGS",
    "evaluate_content",
    "evaluate_files",
    "evaluate_pairings",
    "load_queries",
    "report",
]
