"""What files of visual queries must hold, without which no query of theirs can be found."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Finite, Text


class Annotation(TypedDict):
    """The query sets of one annotation; malformed ones are listed and left out."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotation_uid: Text
    query_sets: dict[str, dict[str, Any]]


class Clip(TypedDict):
    """A clip; the official files know some without a uid."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: str | None
    video_start_sec: Finite
    video_end_sec: Finite
    clip_fps: Finite
    annotations: list[Annotation]


class Video(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Text
    split: str
    clips: list[Clip]


class VisualQueries(TypedDict):
    """``vq_train.json``, ``vq_val.json`` or ``vq_test_unannotated.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    version: str
    videos: list[Video]
