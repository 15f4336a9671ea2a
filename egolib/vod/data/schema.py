"""What a CocoVID (or COCO) annotation file must hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.schema import OPEN, Box, Positive, Text, Time, require_known, validated


class Category(TypedDict):
    """A class of objects."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: int
    name: Text


class Video(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: int
    name: Text


class Image(TypedDict):
    """A frame or a still; stills have no video, or the video -1."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: int
    file_name: Text
    height: Positive
    width: Positive
    video_id: NotRequired[int | None]
    frame_id: NotRequired[int | None]


class Annotation(TypedDict):
    """An object in an image; ``bbox`` is x, y, width, height."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    image_id: int
    category_id: int
    bbox: Box
    area: NotRequired[Time]
    instance_id: NotRequired[int | None]


class CocoVid(TypedDict):
    """The file."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    categories: list[Category]
    images: list[Image]
    annotations: list[Annotation]
    videos: NotRequired[list[Video] | None]


def check_cocovid(content: Any, file: str | Path) -> dict[str, Any]:
    """The content of an annotation file, checked: fields, identities, references.

    Raises:
        EgolibError: naming the first record that is wrong, by its path.
    """
    found: dict[str, Any] = validated(CocoVid, content, file=file)
    for part in ("categories", "images", "videos"):
        _require_unique([entry["id"] for entry in found.get(part) or []], part, file)
    annotations = found["annotations"]
    images = [image["id"] for image in found["images"]]
    _refer(annotations, "image_id", images, file)
    _refer(annotations, "category_id", [c["id"] for c in found["categories"]], file)
    areas = [entry["area"] for entry in annotations if "area" in entry]
    if areas and not any(areas):
        raise EgolibError(
            "every area is 0, so that no object would count",
            file=file,
            record="annotations[].area",
            remedy="leave area out, then width times height is taken, or write it",
        )
    return found


def _refer(annotations: list[Any], field: str, known: list[int], file: str | Path) -> None:
    values = (entry[field] for entry in annotations)
    require_known(values, known, f"annotations[].{field}", file=file)


def _require_unique(ids: list[int], part: str, file: str | Path) -> None:
    twice = next((value for value, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        second = [place for place, value in enumerate(ids) if value == twice][1]
        raise EgolibError(f"id {twice} stands twice", file=file, record=f"{part}[{second}].id")
