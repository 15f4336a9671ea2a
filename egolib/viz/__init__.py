"""Drawing what the verbs of the tasks return, as figures and as videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.records import check_target
from egolib.report.results import (
    Detections,
    FrameDetections,
    LabelledMoments,
    Moments,
    ResponseTrack,
    Result,
    Similarity,
)
from egolib.viz.detections import detection_figure
from egolib.viz.moments import moment_figure
from egolib.viz.movies import detection_movie, detection_stream, track_movie
from egolib.viz.pictures import Video, curves, picture_row
from egolib.viz.similarity import retrieval_grid, similarity_figure
from egolib.viz.style import FORMATS, Drawing, save
from egolib.viz.timeline import timeline_figure
from egolib.viz.tracks import score_curve, track_figure

__all__ = [
    "Drawing",
    "curves",
    "detection_figure",
    "detection_movie",
    "detection_stream",
    "draw",
    "moment_figure",
    "picture_row",
    "retrieval_grid",
    "save",
    "score_curve",
    "similarity_figure",
    "timeline_figure",
    "track_figure",
    "track_movie",
]


def draw(
    video: Video | None, result: Result, out: str | Path | None = None, **options: Any
) -> Drawing | Path:
    """Draws any result.

    Args:
        video: path or reader; may be None for moments and similarities.
        result: what ``locate``, ``detect``, ``ground``, ``find`` or ``similarity`` gave.
        out: ``.mp4`` draws boxes into the video (tracks and detections); ``.png``,
            ``.svg``, ``.pdf`` save a figure; None returns the figure.
        options: of the figure's or movie's own function, such as ``truth=``.

    Returns:
        The figure, or the path of the file.

    Raises:
        EgolibError: this result cannot be drawn in that format, or the target cannot be
            written.
    """
    if out is not None:
        check_target(out)
    if out is not None and Path(out).suffix.lower() == ".mp4":
        return _movie(video, result, out, options)
    if out is not None and Path(out).suffix.lower() not in FORMATS:
        raise EgolibError("unknown format", file=out, remedy=f"use .mp4, {', '.join(FORMATS)}")
    figure = _figure(video, result, options)
    return figure if out is None else save(figure, out)


def _movie(video: Video | None, result: Result, out: str | Path, options: dict[str, Any]) -> Path:
    if isinstance(result, ResponseTrack):
        return track_movie(_needed(video), result, out, **options)
    if isinstance(result, Detections):
        return detection_movie(_needed(video), result, out, **options)
    kind = type(result).__name__
    raise EgolibError(f"{kind} cannot be drawn into a video", file=out, remedy="use .png")


def _figure(video: Video | None, result: Result, options: dict[str, Any]) -> Drawing:
    if isinstance(result, ResponseTrack):
        return track_figure(_needed(video), result, **options)
    if isinstance(result, Detections | FrameDetections):
        return detection_figure(_needed(video), result, **options)
    if isinstance(result, Moments):
        return moment_figure(result, video, **options)
    if isinstance(result, LabelledMoments):
        return timeline_figure(result, video, **options)
    if isinstance(result, Similarity):
        return similarity_figure(result, video, **options)
    raise EgolibError(f"{type(result).__name__} is no result that can be drawn")


def _needed(video: Video | None) -> Video:
    if video is None:
        raise EgolibError("boxes are drawn on frames", remedy="give the video as well")
    return video
