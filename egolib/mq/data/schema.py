"""What the files of moments queries must hold, but for the official annotations
(``egolib.io.episodic_memory``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Gt, Len
from pydantic import AfterValidator
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Finite, Seconds, Text, Uid

Segment = Annotated[list[Seconds], Len(2, 2)]


def _timed(moment: Any) -> Any:
    """A moment with times in one of the two ways."""
    if "segment" not in moment and not {"start_time", "end_time"} <= set(moment):
        raise ValueError("a segment, or start_time and end_time, are wanted")
    return moment


def _in_order(clip: Any) -> Any:
    """A clip whose end comes after its start."""
    if not clip["parent_end_sec"] > clip["parent_start_sec"]:
        raise ValueError(
            f"parent_end_sec {clip['parent_end_sec']:g}: a time after the clip's start, "
            f"{clip['parent_start_sec']:g} s, is wanted"
        )
    return clip


class ClipMoment(TypedDict):
    """A moment: as the converters write it, or as challenge entries do."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    label: Text
    segment: NotRequired[Segment]
    start_time: NotRequired[Seconds]
    end_time: NotRequired[Seconds]


class ConvertedClip(TypedDict):
    """A clip of ``clip_annotations.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_id: Uid
    subset: Literal["train", "val", "test"]
    parent_start_sec: Seconds
    parent_end_sec: Seconds
    fps: NotRequired[Annotated[Finite, Gt(0)]]
    annotations: list[Annotated[ClipMoment, AfterValidator(_timed)]]


ClipFile = dict[Uid, Annotated[ConvertedClip, AfterValidator(_in_order)]]


class VideoLength(TypedDict):
    """How long a video is."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Uid
    duration_sec: Annotated[Seconds, Gt(0)]


class VideoTable(TypedDict):
    """``ego4d.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[VideoLength]


class Answer(TypedDict):
    """A found moment, with its score."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    label: Text
    score: Finite
    segment: Segment


Answers = dict[Uid, list[Answer]]
