"""Questions as VSLNet's preparation sees them: canonical text, times on a coarse grid.

``prepare`` makes the official files ``train.json``, ``val.json``, ``test.json`` (Ego4D
episodic memory, NLQ/VSLNet) from the official annotations; ``on_grid`` gives the same
times for one question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egolib.nlq.config.span import SpanDataConfig
from egolib.nlq.data.annotations import Query, from_official, walk_clips


def sentence(text: str) -> str:
    """A question in its canonical form: lower case, one question mark.

    Blanks go from both ends, then question marks; a blank before those stays.

    >>> sentence("  Where is my Mug ??")
    'where is my mug ?'
    """
    return text.strip(" ").strip("?").lower() + "?"


@dataclass(frozen=True)
class Grid:
    """A question's times on the grid.

    Args:
        steps: length of the clip in grid steps.
        window_steps: start and end of the answer; None without one.
        rate: steps a second.
    """

    steps: int
    window_steps: tuple[int, int] | None
    rate: float

    @property
    def duration_sec(self) -> float:
        """Length of the clip, as far as the grid covers it."""
        return self.steps / self.rate

    @property
    def window_sec(self) -> tuple[float, float] | None:
        """The answer, cut to that length."""
        if self.window_steps is None:
            return None
        start, end = self.window_steps
        return max(0.0, start / self.rate), min(end / self.rate, self.duration_sec)


def on_grid(query: Query, config: SpanDataConfig | None = None) -> Grid:
    """The clip's length and the first true window on the grid.

    Official behaviour: everything is rounded down, so that a window inside one step gets
    length 0 and the clip loses its last part; ``rounding="outward"`` loses nothing.

    Args:
        query: a record.
        config: rate and rounding.
    """
    config = config or SpanDataConfig()
    window = None
    if query.windows_sec:
        start, end = query.windows_sec[0]
        window = _steps(start, config), _steps(end, config, up=True)
    return Grid(_steps(query.duration_sec, config, up=True), window, config.rate)


def _steps(time_sec: float, config: SpanDataConfig, *, up: bool = False) -> int:
    if config.rounding == "official":
        return int(time_sec * config.rate)
    return (math.ceil if up else math.floor)(time_sec * config.rate)


def prepare(
    content: Mapping[str, Any],
    config: SpanDataConfig | None = None,
    file: str | Path = "annotations",
    further: Sequence[Query] = (),
) -> tuple[dict[str, dict[str, Any]], dict[str, list[Any]]]:
    """The official prepared file of one split, and its table of clips.

    Questions without a text are left out, but counted in the indices of those after
    them. Without answers all times are 0.

    Args:
        content: an official annotation file.
        config: rate and rounding.
        file: its name, for errors.
        further: records that are asked after the clips' own questions.

    Returns:
        clip uid -> ``fps``, ``num_frames`` and the lists ``timestamps``,
        ``exact_times``, ``sentences``, ``annotation_uids``, ``query_idx``; and
        clip uid -> [video uid, start, end] in seconds.
    """
    config = config or SpanDataConfig()
    prepared, clips = {}, {}
    queries: dict[str, list[Query]] = {}
    for query in [*from_official(content, file), *further]:
        queries.setdefault(query.clip_uid, []).append(query)
    for video, clip in walk_clips(content):
        uid, start, end = clip["clip_uid"], clip["video_start_sec"], clip["video_end_sec"]
        clips[uid] = [video["video_uid"], start, end]
        prepared[uid] = _clip(queries.get(uid, []), end - start, config)
    return prepared, clips


def _clip(queries: list[Query], duration_sec: float, config: SpanDataConfig) -> dict[str, Any]:
    return {
        "fps": config.rate,
        "num_frames": _steps(duration_sec, config, up=True),
        "timestamps": [list(on_grid(query, config).window_steps or (0, 0)) for query in queries],
        "exact_times": [_exact(query) for query in queries],
        "sentences": [sentence(query.text) for query in queries],
        "annotation_uids": [query.annotation_uid for query in queries],
        "query_idx": [query.index for query in queries],
    }


def _exact(query: Query) -> list[float]:
    return [float(time) for time in query.windows_sec[0]] if query.windows_sec else [0.0, 0.0]
