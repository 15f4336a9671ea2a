"""What files of natural-language queries must hold, but for the official annotations
(``egolib.io.episodic_memory``)."""

from __future__ import annotations

from typing import Annotated, NotRequired

from annotated_types import Gt, Len, MinLen
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Count, Seconds, Text, Uid


class Record(TypedDict):
    """A line of the JSON-lines form; narrations call their text otherwise."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query: NotRequired[Text]
    narration_query: NotRequired[Text]
    query_id: Uid
    duration: Annotated[Seconds, Gt(0)]
    video_id: Uid
    query_type: Text
    timestamps: NotRequired[list[Annotated[list[Seconds], Len(2, 2)]] | None]


Window = Annotated[list[Seconds], Len(2, 3)]


class Prediction(TypedDict):
    """The windows that answer a question, best first: start, end and maybe score."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Uid
    annotation_uid: Uid
    query_idx: Count
    predicted_times: Annotated[list[Window], MinLen(1)]


class Submission(TypedDict):
    """A prediction file."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    results: list[Prediction]
