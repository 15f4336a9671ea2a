"""What a CocoVID (or COCO) annotation file must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Ge, Gt, Len, Lt
from pydantic import AfterValidator, Strict
from typing_extensions import TypedDict

from egolib.errors import EgolibError
from egolib.io.schema import (
    OPEN,
    Box,
    Finite,
    Positive,
    SizedBox,
    Text,
    Time,
    Uid,
    Whole,
    require_known,
    validated,
)

Small = Annotated[int, Strict(), Ge(-(2**31)), Lt(2**31)]
#: ``True``, ``False``, 0 or 1; absent and null are False.
Flag = bool | Literal[0, 1] | None
#: Pixels by which corners may cross: MEGA's ends are the last pixels inside, so that a box thinner
#: than one pixel of the network's input ends before it starts.
CROSSING = 4.0


def _hardly_crossed(box: list[float]) -> list[float]:
    if min(box[2:]) < -CROSSING:
        raise ValueError("x, y, width and height are wanted, the last two not negative")
    return box


def _in_order(corners: list[int]) -> list[int]:
    if corners[2] < corners[0] or corners[3] < corners[1]:
        raise ValueError("corners in order are wanted (xmin, ymin, xmax, ymax)")
    return corners


class Category(TypedDict):
    """A class of objects."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: Small
    name: Text


class Video(TypedDict):
    """A video."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: Whole
    name: Text


class Image(TypedDict):
    """A frame or a still; stills have no video, or the video -1."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: Whole
    file_name: Uid
    height: Positive
    width: Positive
    video_id: NotRequired[Whole | None]
    frame_id: NotRequired[Small | None]
    is_vid_train_frame: NotRequired[Flag]


class Annotation(TypedDict):
    """An object in an image; ``bbox`` is x, y, width, height."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    id: NotRequired[Whole]
    image_id: Whole
    category_id: Small
    bbox: SizedBox
    area: NotRequired[Time]
    instance_id: NotRequired[Whole | None]
    ignore: NotRequired[Flag]
    iscrowd: NotRequired[Flag]
    occluded: NotRequired[Flag]
    generated: NotRequired[Flag]


class Detection(TypedDict):
    """An entry of COCO's list of detections."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    image_id: Whole
    category_id: Whole
    bbox: Annotated[Box, AfterValidator(_hardly_crossed)]
    score: Finite


#: A whole number that is written as text.
Digits = Annotated[int, Strict(False), Ge(-(2**31)), Lt(2**31)]
OneDigit = Literal["0", "1"] | None


class XmlObject(TypedDict):
    """An <object> of ILSVRC's XML; stills have neither track nor flags."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    name: Text
    bndbox: Annotated[list[Digits], Len(4, 4), AfterValidator(_in_order)]
    trackid: Text | None
    occluded: OneDigit
    generated: OneDigit


class XmlFile(TypedDict):
    """ILSVRC's XML after parsing."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    height: Annotated[Digits, Gt(0)]
    width: Annotated[Digits, Gt(0)]
    objects: list[XmlObject]


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
    _require_unique([entry["name"] for entry in found["categories"]], "categories", file, "name")
    _place_frames(found, file)
    annotations = found["annotations"]
    _require_unique([entry["id"] for entry in annotations if "id" in entry], "annotations", file)
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


def _place_frames(content: dict[str, Any], file: str | Path) -> None:
    """Images of videos: the video is there, and so is their place in it."""
    videos = {video["id"] for video in content.get("videos") or []}
    for place, image in enumerate(content["images"]):
        video = image.get("video_id")
        if video is None or video == -1:
            continue
        if video not in videos:
            what = f"{video} is not among the {len(videos)} videos that the file declares"
            raise EgolibError(what, file=file, record=f"images[{place}].video_id")
        if image.get("frame_id") is None:
            raise EgolibError(
                f"an image of video {video} has no place in it",
                file=file,
                record=f"images[{place}].frame_id",
                remedy="number the frames of each video from 0",
            )


def _refer(annotations: list[Any], field: str, known: list[int], file: str | Path) -> None:
    values = (entry[field] for entry in annotations)
    require_known(values, known, f"annotations[].{field}", file=file)


def _require_unique(
    ids: Sequence[int | str], part: str, file: str | Path, what: str = "id"
) -> None:
    twice = next((value for value, count in Counter(ids).items() if count > 1), None)
    if twice is not None:
        second = [place for place, value in enumerate(ids) if value == twice][1]
        raise EgolibError(
            f"{what} {twice} stands twice", file=file, record=f"{part}[{second}].{what}"
        )
