"""The true windows of a split, looked up by clip, annotation and index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import suffix_of
from egolib.nlq.data.annotations import (
    LATE_SEC,
    Query,
    read_official,
    read_queries,
    to_official,
    walk_clips,
)

Key = tuple[str, str]


@dataclass(frozen=True)
class Truth:
    """True windows by clip, annotation and index.

    Args:
        rows: (clip_uid, annotation_uid) -> first row and number of rows.
        windows: (N, 2) seconds; NaN for entries without times.
        asked: (N,) false for entries without a text, which nobody is asked about.
        durations: (N,) seconds of the clips; NaN where the file does not say.
    """

    rows: dict[Key, tuple[int, int]]
    windows: np.ndarray
    asked: np.ndarray
    durations: np.ndarray

    @property
    def questions(self) -> int:
        """How many entries have a text."""
        return int(self.asked.sum())


def make_truth(content: Mapping[str, Any]) -> Truth:
    """The true windows of an official annotation file's content."""
    rows: dict[Key, tuple[int, int]] = {}
    windows: list[tuple[float, float]] = []
    asked: list[bool] = []
    durations: list[float] = []
    for _, clip in walk_clips(content):
        for annotation in clip["annotations"]:
            entries = annotation["language_queries"]
            rows[clip["clip_uid"], annotation["annotation_uid"]] = len(windows), len(entries)
            for entry in entries:
                start, end = entry.get("clip_start_sec"), entry.get("clip_end_sec")
                windows.append((np.nan, np.nan) if start is None or end is None else (start, end))
                asked.append(bool(entry.get("query")))
                durations.append(_duration(clip))
    all_windows = np.array(windows, float).reshape(-1, 2)
    return Truth(rows, all_windows, np.array(asked, bool), np.array(durations, float))


def _duration(clip: Mapping[str, Any]) -> float:
    """Seconds of a clip; NaN where the file does not say (evaluation needs none)."""
    if "video_end_sec" not in clip or "video_start_sec" not in clip:
        return np.nan
    return float(clip["video_end_sec"] - clip["video_start_sec"])


def read_truth(path: str | Path) -> Truth:
    """True windows from an official JSON file or a JSON-lines file.

    Raises:
        EgolibError: the file holds no answers.
    """
    truth = read_questions(path)
    if np.isnan(truth.windows[truth.asked]).all():
        raise EgolibError("the annotations hold no answers", file=path, remedy="use the val file")
    return truth


def read_questions(path: str | Path) -> Truth:
    """As ``read_truth``, of files that may lack answers.

    Raises:
        EgolibError: a malformed file, or a question with several true windows: the official
            metric knows one.
    """
    if suffix_of(path) != ".jsonl":
        return make_truth(read_official(path))
    queries = read_queries(path)
    for query in queries:
        if len(query.windows_sec or ()) > 1:
            raise EgolibError(
                f"{len(query.windows_sec or ())} true windows, the official metric knows one",
                file=path,
                record=query.query_id,
                remedy="keep the window that is meant",
            )
    return make_truth(to_official(queries, "truth"))


def oddities(truth: Truth) -> list[str]:
    """Warnings about true windows that no prediction can meet, question by question."""
    start, end = truth.windows.T
    with np.errstate(invalid="ignore"):
        found = {
            "it has no times": np.isnan(start) | np.isnan(end),
            "its window ends before it starts": end < start,
            "its window lies outside the clip": (start >= truth.durations) | (end <= 0),
            "its window starts before the clip": (start < 0) & (end > 0),
            "its window ends long after the clip": (start < truth.durations)
            & (end > truth.durations + LATE_SEC),
        }
    names = {
        first + place: f"{annotation}_{place} (clip {clip})"
        for (clip, annotation), (first, count) in truth.rows.items()
        for place in range(count)
    }
    return [
        f"{names[row]}: {what}"
        for what, wrong in found.items()
        for row in np.flatnonzero(wrong & truth.asked).tolist()
    ]


def truth_of(queries: Iterable[Query]) -> Truth:
    """True windows of records."""
    return make_truth(to_official(queries, "truth"))


def join_truths(*parts: Truth) -> Truth:
    """The questions of several splits as one."""
    rows: dict[Key, tuple[int, int]] = {}
    first = 0
    for part in parts:
        rows |= {key: (first + start, count) for key, (start, count) in part.rows.items()}
        first += len(part.windows)
    return Truth(
        rows,
        np.concatenate([part.windows for part in parts]),
        np.concatenate([part.asked for part in parts]),
        np.concatenate([part.durations for part in parts]),
    )
