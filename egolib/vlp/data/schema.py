"""What the annotation files of video-language benchmarks must hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from annotated_types import MinLen
from pydantic import AfterValidator
from typing_extensions import TypedDict

from egolib.io.schema import OPEN, Count, Seconds, Text, Uid


def _in_order(choice: Any) -> Any:
    """A clip that does not end before it starts: EgoMCQ's are stretches around a narration."""
    if choice["clip_end"] < choice["clip_start"]:
        raise ValueError("a clip_end that is not before clip_start is wanted")
    return choice


def _numbered(choices: Any) -> Any:
    """Choices whose keys count from 0, whatever their order: the answer is one of these numbers."""
    if set(choices) != {str(number) for number in range(len(choices))}:
        raise ValueError(f"choices named 0 to {len(choices) - 1} are wanted")
    return choices


class Choice(TypedDict):
    """A clip of EgoMCQ."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Uid
    clip_start: Seconds
    clip_end: Seconds
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
    choices: Annotated[
        dict[str, Annotated[Choice, AfterValidator(_in_order)]],
        MinLen(1),
        AfterValidator(_numbered),
    ]


class TaskQuestion(TypedDict):
    """A prepared question of EgoTaskQA."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    interval: Uid
    question: str
    answer: Text
    answer_encode: Any
    reasoning_type: str
    question_id: NotRequired[Text | int]


class RawQuestion(TypedDict):
    """A question of EgoTaskQA's ``qas.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    interval: Uid
    question: Text
    answer: Text
    type: list[Text]
    category: list[Text]
    semantic: str
    structural: str
    reference: str
    program: str


class PreparedQuestions(TypedDict):
    """A clip of Ego4D's prepared NLQ files; its lists run side by side."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    sentences: list[Text]
    annotation_uids: list[Uid]
    query_idx: list[Count]
