"""What files of natural-language queries must hold, but for the official annotations
(``egolib.io.episodic_memory``)."""

from __future__ import annotations

from typing import Annotated, NotRequired

from annotated_types import Len, MinLen
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Count, Finite, Text


class Record(TypedDict):
    """A line of the JSON-lines form; narrations call their text otherwise."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query: NotRequired[Text]
    narration_query: NotRequired[Text]
    query_id: Text
    duration: Finite
    video_id: Text
    query_type: Text
    timestamps: NotRequired[list[Annotated[list[Finite], Len(2, 2)]] | None]


Window = Annotated[list[Finite], Len(2, 3)]


class Prediction(TypedDict):
    """The windows that answer a question, best first: start, end and maybe score."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Text
    annotation_uid: Text
    query_idx: Count
    predicted_times: Annotated[list[Window], MinLen(1)]


class Submission(TypedDict):
    """A prediction file."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    results: list[Prediction]
