"""What ``egolib demo`` says of an answer, in a few lines."""

from __future__ import annotations

from dataclasses import replace

from egolib.report.results import LabelledMoments, Moments, ResponseTrack, Result, Similarity

MOST_SEGMENTS = 20  # of mq that are printed


def describe(result: Result) -> list[str]:
    """A result in a few lines."""
    if isinstance(result, ResponseTrack):
        if not len(result.frames):
            return ["not found"]
        first, last = result.frames[0], result.frames[-1]
        if result.peak_frame is None:
            return [
                f"frames {first} to {last}; the similarity has no peak, so the answer starts from "
                "a fallback frame and its score means nothing"
            ]
        return [f"frames {first} to {last}, score {result.score:.3f}"]
    if isinstance(result, Similarity):
        return [
            f"{score:.3f}  {text}" for text, score in zip(result.texts, result.scores, strict=True)
        ]
    if isinstance(result, Moments):
        rows = zip(result.segments_sec, result.scores, strict=True)
        return [
            f"{_seconds(start)} to {_seconds(end)}, score {score:.3f}"
            for (start, end), score in rows
        ]
    if isinstance(result, LabelledMoments):
        found = zip(result.labels, result.segments_sec, result.scores, strict=True)
        return [
            f"{_seconds(start)} to {_seconds(end)}, score {score:.3f}  {label}"
            for label, (start, end), score in list(found)[:MOST_SEGMENTS]
        ]
    return [repr(result)]


def with_length(found: LabelledMoments) -> LabelledMoments:
    """The segments that end after they begin; the network's own boundaries may cross."""
    keep = found.segments_sec[:, 1] > found.segments_sec[:, 0]
    labels = tuple(label for label, kept in zip(found.labels, keep, strict=True) if kept)
    segments, scores = found.segments_sec[keep], found.scores[keep]
    return replace(found, labels=labels, segments_sec=segments, scores=scores)


def _seconds(value: float) -> str:
    return f"{round(value, 2) + 0.0:7.2f} s"  # no -0.00
