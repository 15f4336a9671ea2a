"""The true windows of a split, looked up by clip, annotation and index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.nlq.data.annotations import Query, read_official, read_queries, to_official, walk_clips

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
    lines = Path(path).suffix == ".jsonl"
    content = to_official(read_queries(path), "truth") if lines else read_official(path)
    truth = make_truth(content)
    if np.isnan(truth.windows[truth.asked]).all():
        raise EgolibError("the annotations hold no answers", file=path, remedy="use the val file")
    return truth


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
