"""What files of natural-language queries must hold: official annotations and predictions."""

from __future__ import annotations

from typing import Annotated, NotRequired

from annotated_types import Len
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Count, Finite, Text


class LanguageQuery(TypedDict):
    """A question; skipped ones have no text, those of the test file no times."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query: NotRequired[str | None]
    clip_start_sec: NotRequired[Finite]
    clip_end_sec: NotRequired[Finite]


class Annotation(TypedDict):
    """The questions of one annotator about a clip."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotation_uid: Text
    language_queries: list[LanguageQuery]


class Clip(TypedDict):
    """A clip of a video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Text
    video_start_sec: Finite
    video_end_sec: Finite
    annotations: list[Annotation]


class Video(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clips: list[Clip]


class OfficialFile(TypedDict):
    """``nlq_train.json``, ``nlq_val.json`` or ``nlq_test_unannotated.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[Video]


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


class AnyClip(TypedDict):
    """A clip of any benchmark of episodic memory."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: str | None
    video_start_sec: Finite
    video_end_sec: Finite


class AnyVideo(TypedDict):
    """A video of any benchmark of episodic memory."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Text
    clips: list[AnyClip]


class EpisodicMemoryFile(TypedDict):
    """Annotations of natural-language queries, visual queries or moments."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[AnyVideo]


Window = Annotated[list[Finite], Len(2, 3)]


class Prediction(TypedDict):
    """The windows that answer a question, best first: start, end and maybe score."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Text
    annotation_uid: Text
    query_idx: Count
    predicted_times: list[Window]


class Submission(TypedDict):
    """A prediction file."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    results: list[Prediction]
