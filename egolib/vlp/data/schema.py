"""What the annotation files of video-language benchmarks must hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import MinLen
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Count, Finite, Text


class Choice(TypedDict):
    """A clip of EgoMCQ."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Text
    clip_start: Finite
    clip_end: Finite
    clip_text: Text


class Asked(TypedDict):
    """The clip whose text is asked for."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_text: Text


class MultipleChoice(TypedDict):
    """A question of EgoMCQ."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    answer: Count
    types: Literal[1, 2]
    query: Asked
    choices: Annotated[dict[str, Choice], MinLen(1)]


class MomentClip(TypedDict):
    """A clip of the moments annotations, as features need it."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Text
    video_start_sec: Finite
    video_end_sec: Finite


class MomentVideo(TypedDict):
    """A video of the moments annotations."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Text
    clips: list[MomentClip]


class MomentFile(TypedDict):
    """``moments_*.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[MomentVideo]


class QueryText(TypedDict):
    """A question of the NLQ annotations, as features of its text need it."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query: NotRequired[str | None]


class QueryAnnotation(TypedDict):
    """The questions of one annotator about a clip."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotation_uid: Text
    language_queries: NotRequired[list[QueryText]]


class QueryClip(TypedDict):
    """A clip of the NLQ annotations."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotations: list[QueryAnnotation]


class QueryVideo(TypedDict):
    """A video of the NLQ annotations."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clips: list[QueryClip]


class QueryFile(TypedDict):
    """``nlq_*.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[QueryVideo]


class TaskQuestion(TypedDict):
    """A prepared question of EgoTaskQA."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    interval: Text
    question: str
    answer: Text
    answer_encode: Any
    reasoning_type: str
    question_id: NotRequired[Text | int]


class RawQuestion(TypedDict):
    """A question of EgoTaskQA's ``qas.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    interval: Text
    question: Text
    answer: Text
    type: list[str]
    category: list[str]
    semantic: str
    structural: str
    reference: str
    program: str


class PreparedQuestions(TypedDict):
    """A clip of Ego4D's prepared NLQ files; its lists run side by side."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    sentences: list[Text]
    annotation_uids: list[Text]
    query_idx: list[Count]
