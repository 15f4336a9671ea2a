"""A CocoVID file as columns: small in memory, quick to read again.

I images; V videos; A annotations.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import atomic_path, read_json
from egolib.vod.data.schema import check_cocovid

CACHE_VERSION = 2


@dataclass(frozen=True)
class VideoIndex:
    """Columns of a CocoVID file, in file order.

    Args:
        image_id: (I,) int64 ids.
        height: (I,) int32 pixels.
        width: (I,) int32 pixels.
        frame: (I,) int32 place in the video from 0, -1 for stills.
        video: (I,) int32 row of the video, -1 for stills.
        trained: (I,) bool: frames to train on.
        file_name: (I,) bytes, below the image folder.
        video_id: (V,) int64 ids.
        video_name: (V,) bytes.
        owner: (A,) int64 row of the image.
        category: (A,) int32 category id.
        box_xywh: (A, 4) float64 pixels.
        area: (A,) float64 square pixels.
        instance: (A,) int64 track, -1 without.
        ignore: (A,) bool: no object in training and in the VID metric; COCO's AP counts it.
        crowd: (A,) bool: a box around a group of objects.
        occluded: (A,) bool: partly hidden.
        generated: (A,) bool: ``generated`` in VID's XML; False where the file says nothing.
        category_id: (C,) int32 ids, in file order.
        category_name: (C,) bytes, in file order.
    """

    image_id: np.ndarray
    height: np.ndarray
    width: np.ndarray
    frame: np.ndarray
    video: np.ndarray
    trained: np.ndarray
    file_name: np.ndarray
    video_id: np.ndarray
    video_name: np.ndarray
    owner: np.ndarray
    category: np.ndarray
    box_xywh: np.ndarray
    area: np.ndarray
    instance: np.ndarray
    ignore: np.ndarray
    crowd: np.ndarray
    occluded: np.ndarray
    generated: np.ndarray
    category_id: np.ndarray
    category_name: np.ndarray

    def __len__(self) -> int:
        return len(self.image_id)

    def __post_init__(self) -> None:
        by_image = np.argsort(self.owner, kind="stable")
        bounds = np.searchsorted(self.owner[by_image], np.arange(len(self) + 1))
        by_video = np.lexsort((self.frame, self.video))
        edges = np.searchsorted(self.video[by_video], np.arange(len(self.video_id) + 1))
        object.__setattr__(self, "_by_image", (by_image, bounds))
        object.__setattr__(self, "_by_video", (by_video, edges))

    def annotations(self, image: int) -> np.ndarray:
        """Rows of an image's annotations, in file order."""
        order, bounds = self._by_image  # type: ignore[attr-defined]
        rows: np.ndarray = order[bounds[image] : bounds[image + 1]]
        return rows

    def frames(self, video: int) -> np.ndarray:
        """Rows of a video's images, by ``frame_id``."""
        order, edges = self._by_video  # type: ignore[attr-defined]
        rows: np.ndarray = order[edges[video] : edges[video + 1]]
        return rows

    def is_still(self, image: int) -> bool:
        """Whether an image belongs to no video."""
        return bool(self.video[image] < 0)

    def path(self, image: int) -> str:
        """An image's file name."""
        return str(self.file_name[image].decode())

    def class_names(self) -> tuple[str, ...]:
        """Names of all categories, in file order."""
        return tuple(name.decode() for name in self.category_name)


def make_index(content: dict[str, Any]) -> VideoIndex:
    """Columns of a parsed CocoVID (or COCO) file."""
    images, annotations = content["images"], content["annotations"]
    videos = content.get("videos") or []
    video_row = {video["id"]: row for row, video in enumerate(videos)}
    image_row = {image["id"]: row for row, image in enumerate(images)}

    def column(entries: list[dict[str, Any]], key: str, kind: type, default: Any) -> np.ndarray:
        values = (entry.get(key, default) for entry in entries)
        return np.array([default if value is None else value for value in values], kind)

    def text(entries: list[dict[str, Any]], key: str) -> np.ndarray:
        return np.array([str(entry[key]).encode() for entry in entries], "S")

    return VideoIndex(
        image_id=column(images, "id", np.int64, 0),
        height=column(images, "height", np.int32, 0),
        width=column(images, "width", np.int32, 0),
        frame=column(images, "frame_id", np.int32, -1),
        video=np.array([video_row.get(image.get("video_id"), -1) for image in images], np.int32),
        trained=column(images, "is_vid_train_frame", np.bool_, False),
        file_name=text(images, "file_name"),
        video_id=column(videos, "id", np.int64, 0),
        video_name=text(videos, "name"),
        owner=np.array([image_row[a["image_id"]] for a in annotations], np.int64),
        category=column(annotations, "category_id", np.int32, 0),
        box_xywh=np.array([a["bbox"] for a in annotations], np.float64).reshape(-1, 4),
        area=np.array([_area(entry) for entry in annotations], np.float64),
        instance=column(annotations, "instance_id", np.int64, -1),
        ignore=column(annotations, "ignore", np.bool_, False),
        crowd=column(annotations, "iscrowd", np.bool_, False),
        occluded=column(annotations, "occluded", np.bool_, False),
        generated=column(annotations, "generated", np.bool_, False),
        category_id=column(content["categories"], "id", np.int32, 0),
        category_name=text(content["categories"], "name"),
    )


def _area(annotation: dict[str, Any]) -> float:
    """The annotated area; width times height where there is none."""
    width, height = annotation["bbox"][2:]
    return float(annotation.get("area", width * height))


def read_index(path: str | Path) -> VideoIndex:
    """The columns of a CocoVID file; a cache beside it is used while the file is the same.

    Raises:
        EgolibError: missing or malformed file, or a field is absent.
    """
    path = Path(path)
    cache = path.with_name(path.name + ".index.npz")
    stamp = _stamp(path)
    if stamp is not None and (cached := _read_cache(cache, stamp)) is not None:
        return cached
    try:
        index = make_index(check_cocovid(read_json(path, dict), path))
    except (KeyError, TypeError) as error:
        raise EgolibError(f"not a CocoVID file: {error!r}", file=path) from error
    if os.access(path.parent, os.W_OK):
        arrays = {f.name: getattr(index, f.name) for f in fields(index)}
        with atomic_path(cache) as temporary, temporary.open("wb") as stream:
            np.savez(stream, stamp=np.array(stamp), **arrays)
    return index


def _stamp(path: Path) -> str | None:
    """Identifies a file's content by size and time."""
    if not path.is_file():
        return None
    about = path.stat()
    return json.dumps([CACHE_VERSION, about.st_size, about.st_mtime_ns])


def _read_cache(cache: Path, stamp: str) -> VideoIndex | None:
    if not cache.is_file():
        return None
    try:
        with np.load(cache, allow_pickle=False) as arrays:
            if str(arrays["stamp"]) != stamp:
                return None
            return VideoIndex(**{f.name: arrays[f.name] for f in fields(VideoIndex)})
    except (OSError, ValueError, KeyError):
        return None
