"""What files of visual queries must hold, without which no query of theirs can be found."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator
from typing_extensions import TypedDict

from egolib.io.episodic_memory import AnyClip, in_order
from egolib.io.schema import OPEN, Box, Count, Finite, Pixels, Side, Uid


class QueryBox(TypedDict):
    """A box in a frame of the clip, in pixels of the annotated picture."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    frame_number: Count
    x: Pixels
    y: Pixels
    width: Side
    height: Side
    original_width: NotRequired[Annotated[Side, Gt(0)] | None]
    original_height: NotRequired[Annotated[Side, Gt(0)] | None]


class QuerySet(TypedDict):
    """A query: the object's picture, the frame of the question, and where it was seen last."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query_frame: Count
    visual_crop: QueryBox
    response_track: NotRequired[list[QueryBox]]
    object_title: NotRequired[str | None]


class Annotation(TypedDict):
    """The query sets of one annotation; malformed ones are listed and left out."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotation_uid: Uid
    query_sets: dict[str, dict[str, Any]]


class Clip(AnyClip):
    """A clip with its queries."""

    clip_fps: Annotated[Finite, Gt(0), Le(1000)]
    annotations: list[Annotation]


class Video(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Uid
    split: str
    clips: list[Annotated[Clip, AfterValidator(in_order)]]


#: A frame without a box counts as 0, so that lower scores would mean less than nothing.
Score = Annotated[Finite, Ge(0), Le(1e6)]


class CachedFrame(TypedDict):
    """The detections of one frame."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    boxes: list[Box]
    scores: list[Score]


class DetectionCache(TypedDict):
    """The detections of all frames before a query."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    frames: list[CachedFrame]


class VisualQueries(TypedDict):
    """``vq_train.json``, ``vq_val.json`` or ``vq_test_unannotated.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    version: str
    videos: list[Video]
