"""What the annotation files of Ego4D's episodic memory must hold; several tasks read them.

Natural-language queries, visual queries and moments share videos and clips; each benchmark
adds its own annotations. ``check`` is the one door for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.schema import OPEN, Seconds, Text, Uid, validated


def in_order(clip: Any) -> Any:
    """A clip whose end comes after its start."""
    if not clip["video_end_sec"] > clip["video_start_sec"]:
        raise ValueError(
            f"video_end_sec {clip['video_end_sec']:g}: a time after the clip's start, "
            f"{clip['video_start_sec']:g} s, is wanted"
        )
    return clip


class Times(TypedDict):
    """Where a clip lies in its video."""

    video_start_sec: Seconds
    video_end_sec: Seconds


# ------------------------------------------------------------------- any of the benchmarks


class AnyClip(Times):
    """A clip of any benchmark; the official files of visual queries know some without a uid."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Uid | None


class AnyVideo(TypedDict):
    """A video of any benchmark."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Uid
    clips: list[Annotated[AnyClip, AfterValidator(in_order)]]


class EpisodicMemoryFile(TypedDict):
    """Annotations of natural-language queries, visual queries or moments."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[AnyVideo]


# ---------------------------------------------------------------- natural-language queries


class LanguageQuery(TypedDict):
    """A question; skipped ones have no text, those of the test file no times."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    query: NotRequired[str | None]
    clip_start_sec: NotRequired[Seconds]
    clip_end_sec: NotRequired[Seconds]


class QueryAnnotation(TypedDict):
    """The questions of one annotator about a clip."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    annotation_uid: Uid
    language_queries: list[LanguageQuery]


class QueryClip(Times):
    """A clip with its questions."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Uid
    annotations: list[QueryAnnotation]


class QueryVideo(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clips: list[Annotated[QueryClip, AfterValidator(in_order)]]


class QueryFile(TypedDict):
    """``nlq_train.json``, ``nlq_val.json`` or ``nlq_test_unannotated.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[QueryVideo]


def require_unique_annotations(content: Mapping[str, Any], file: str | Path) -> None:
    """Each annotation stands once in its clip.

    Args:
        content: videos with clips with annotations, whose fields were checked.
        file: where it was read, for the error.

    Raises:
        EgolibError: naming the second one by its path.
    """
    seen: set[tuple[str | None, str]] = set()
    for v, video in enumerate(content["videos"]):
        for c, clip in enumerate(video["clips"]):
            for a, annotation in enumerate(clip["annotations"]):
                key = clip["clip_uid"], annotation["annotation_uid"]
                if key in seen:
                    raise EgolibError(
                        f"annotation {key[1]} stands twice in clip {key[0]}",
                        file=file,
                        record=f"videos[{v}].clips[{c}].annotations[{a}].annotation_uid",
                    )
                seen.add(key)


def check_queries(content: Any, file: str | Path) -> dict[str, Any]:
    """The content of an NLQ file: fields, times, and each annotation once in its clip.

    Raises:
        EgolibError: naming the first record that is wrong, by its path.
    """
    found: dict[str, Any] = validated(QueryFile, content, file=file)
    require_unique_annotations(found, file)
    return found


# ------------------------------------------------------------------------------- moments


class MomentLabel(TypedDict):
    """One occurrence of a class."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    label: Text
    start_time: Seconds
    end_time: Seconds
    primary: bool


class MomentAnnotation(TypedDict):
    """The moments that one annotator saw."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    labels: list[MomentLabel]


class MomentClip(Times):
    """A clip with its moments; those of the test file have none."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    clip_uid: Uid
    annotations: NotRequired[list[MomentAnnotation] | None]


class MomentVideo(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    video_uid: Uid
    split: Literal["train", "val", "test"]
    clips: list[Annotated[MomentClip, AfterValidator(in_order)]]


class MomentFile(TypedDict):
    """``moments_train.json``, ``moments_val.json`` or ``moments_test_unannotated.json``."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    videos: list[MomentVideo]
