"""What a list of clips holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from egolib.mq.data.annotations import Clip

COUNTS = {
    ("v2", "train"): (1486, 13559),
    ("v2", "val"): (521, 4296),
    ("v2", "test"): (488, 0),
}
"""Clips and primary moments of the published annotations."""


@dataclass(frozen=True)
class Statistics:
    """Numbers of one subset.

    Args:
        clips: number of clips.
        videos: number of videos that they come from.
        moments: number of moments.
        classes: number of classes that occur.
        hours: length of all clips together.
        median_clip_sec: median length of a clip.
        median_moment_sec: median length of a moment.
        mean_moment_sec: mean length of a moment.
        moments_per_clip: mean number of moments of a clip.
        classes_per_clip: mean number of classes of a clip.
        covered_fraction: mean fraction of a clip that some moment covers.
        past_end: moments that reach past the end of their clip.
        without_length: moments that end when they start, or before.
        duplicates: moments that stand in their clip before, with class and times.
    """

    clips: int
    videos: int
    moments: int
    classes: int
    hours: float
    median_clip_sec: float
    median_moment_sec: float
    mean_moment_sec: float
    moments_per_clip: float
    classes_per_clip: float
    covered_fraction: float
    past_end: int
    without_length: int
    duplicates: int


def statistics(clips: Iterable[Clip]) -> Statistics:
    """Numbers of a list of clips."""
    clips = list(clips)
    seconds = np.array([clip.duration_sec for clip in clips])
    moments = [(clip, moment) for clip in clips for moment in clip.moments]
    lengths = np.array([moment.end_sec - moment.start_sec for _, moment in moments])
    return Statistics(
        clips=len(clips),
        videos=len({clip.video_uid for clip in clips}),
        moments=len(moments),
        classes=len({moment.label for _, moment in moments}),
        hours=float(seconds.sum() / 3600),
        median_clip_sec=_or_zero(np.median, seconds),
        median_moment_sec=_or_zero(np.median, lengths),
        mean_moment_sec=_or_zero(np.mean, lengths),
        moments_per_clip=len(moments) / max(len(clips), 1),
        classes_per_clip=_or_zero(np.mean, np.array([len(clip.labels) for clip in clips])),
        covered_fraction=_or_zero(np.mean, np.array([covered_fraction(clip) for clip in clips])),
        past_end=sum(moment.end_sec > clip.duration_sec for clip, moment in moments),
        without_length=int((lengths <= 0).sum()),
        duplicates=sum(len(clip.moments) - len(set(clip.moments)) for clip in clips),
    )


def covered_fraction(clip: Clip) -> float:
    """Fraction of a clip that at least one moment covers."""
    covered, reached = 0.0, 0.0
    for start, end in sorted((m.start_sec, m.end_sec) for m in clip.moments):
        start, end = max(start, reached), min(end, clip.duration_sec)
        covered += max(end - start, 0.0)
        reached = max(reached, end)
    return covered / clip.duration_sec


def class_counts(clips: Iterable[Clip]) -> dict[str, int]:
    """Moments of each class, the commonest first."""
    counts = Counter(moment.label for clip in clips for moment in clip.moments)
    return dict(counts.most_common())


def _or_zero(reduce: Callable[[np.ndarray], Any], values: np.ndarray) -> float:
    return float(reduce(values)) if len(values) else 0.0
