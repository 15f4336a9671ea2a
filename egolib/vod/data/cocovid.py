"""ILSVRC's XML files as CocoVID JSON: the converters, and the check of existing files.

CocoVID: ``{categories, videos, images, annotations}``; images carry ``frame_id`` (from
0), ``video_id`` and ``is_vid_train_frame``; boxes are ``[x, y, width, height]`` with
width = x2 - x1.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.records import read_xml
from egolib.io.schema import validated
from egolib.progress import track
from egolib.vod.data.classes import OTHER_NAME, Category
from egolib.vod.data.lists import ListedVideo
from egolib.vod.data.schema import XmlFile

Content = dict[str, list[dict[str, Any]]]
FRAME_OFFSETS = {"official": -1, "zero_based": 0}
DET_FOLDERS = ("ILSVRC2013_train/*", *(f"ILSVRC2014_train_{i:04d}" for i in range(7)))


@dataclass(frozen=True)
class XmlObject:
    """One object of an XML file; corners in pixels; flags and track of VID only."""

    wnid: str
    box: tuple[int, int, int, int]
    track: str | None = None
    occluded: bool = False
    generated: bool = False

    def shape(self) -> dict[str, Any]:
        """``bbox`` and ``area`` of the JSON entry."""
        x1, y1, x2, y2 = self.box
        return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}


@dataclass(frozen=True)
class XmlImage:
    """One XML file."""

    height: int
    width: int
    objects: tuple[XmlObject, ...]


def read_annotation(path: str | Path) -> XmlImage:
    """Reads one XML file of VID or DET.

    Raises:
        EgolibError: missing or malformed file, or a field is absent.
    """
    root = read_xml(path)

    raw = {
        "height": root.findtext("size/height"),
        "width": root.findtext("size/width"),
        "objects": [_xml_fields(item) for item in root.iter("object")],
    }
    found = validated(XmlFile, raw, file=path)
    objects = tuple(
        XmlObject(
            item["name"],
            tuple(item["bndbox"]),
            item["trackid"],
            item["occluded"] == "1",
            item["generated"] == "1",
        )
        for item in found["objects"]
    )
    return XmlImage(found["height"], found["width"], objects)


def _xml_fields(item: Any) -> dict[str, Any]:
    """The fields of an <object>, as text."""
    corners = [item.findtext(f"bndbox/{k}") for k in ("xmin", "ymin", "xmax", "ymax")]
    names = ("name", "trackid", "occluded", "generated")
    return {"bndbox": corners} | {name: item.findtext(name) for name in names}


# ---------------------------------------------------------------------------- VID


def convert_vid(
    annotations: str | Path,
    videos: Sequence[ListedVideo],
    categories: Sequence[Category],
    *,
    train: bool,
    frame_offset: str = "official",
    workers: int = 1,
) -> Content:
    """CocoVID content of a VID split: all frames of all listed videos.

    Args:
        annotations: ``Annotations/VID``.
        videos: of the list.
        categories: in label order.
        train: mark the listed frames as training frames.
        frame_offset: the lists count frames from 0; ``official`` takes them for counted
            from 1 and trains on the frames before (index 0 becomes -1 and matches none);
            ``zero_based`` trains on the listed frames.
        workers: processes that read XML.
    """
    content: Content = {
        "categories": [c.as_json() for c in categories],
        "videos": [],
        "images": [],
        "annotations": [],
    }
    ids = {c.wnid: c.id for c in categories}
    offset = FRAME_OFFSETS[frame_offset]
    read = partial(_read_video, Path(annotations))
    instances = 0
    for video, frames in zip(
        videos, _results(read, videos, workers, "reading videos"), strict=True
    ):
        chosen = [frame + offset for frame in video.listed] if train else []
        video_id = len(content["videos"]) + 1
        content["videos"].append({"id": video_id, "name": video.name, "vid_train_frames": chosen})
        instances = _add_frames(content, video.name, video_id, frames, set(chosen), ids, instances)
    return content


def _add_frames(
    content: Content,
    name: str,
    video_id: int,
    frames: Sequence[XmlImage],
    chosen: set[int],
    ids: dict[str | None, int],
    instances: int,
) -> int:
    """Appends one video's images and objects; returns how many instances there are now."""
    tracks: dict[str | None, int] = {}
    for frame_id, frame in enumerate(frames):
        image_id = len(content["images"]) + 1
        content["images"].append(
            {
                "file_name": f"{name}/{frame_id:06d}.JPEG",
                "height": frame.height,
                "width": frame.width,
                "id": image_id,
                "frame_id": frame_id,
                "video_id": video_id,
                "is_vid_train_frame": frame_id in chosen,
            }
        )
        for item in frame.objects:
            if item.wnid not in ids:
                continue
            if item.track not in tracks:
                instances += 1
                tracks[item.track] = instances
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "video_id": video_id,
                    "image_id": image_id,
                    "category_id": ids[item.wnid],
                    "instance_id": tracks[item.track],
                    **item.shape(),
                    "iscrowd": False,
                    "occluded": item.occluded,
                    "generated": item.generated,
                }
            )
    return instances


def _read_video(annotations: Path, video: ListedVideo) -> list[XmlImage]:
    folder = annotations / video.name
    return [read_annotation(folder / f"{i:06d}.xml") for i in range(video.frames)]


# ---------------------------------------------------------------------------- DET


def convert_det(
    annotations: str | Path,
    listed: Sequence[str],
    categories: Sequence[Category],
    *,
    workers: int = 1,
) -> Content:
    """CocoVID content of DET: the listed images, then all others of the train folders.

    Objects outside the classes become one further class.

    Args:
        annotations: ``Annotations/DET``.
        listed: images of ``DET_train_30classes``, which are trained on.
        categories: in label order.
        workers: processes that read XML.
    """
    other = Category(len(categories) + 1, OTHER_NAME, None)
    content: Content = {
        "categories": [c.as_json() for c in [*categories, other]],
        "images": [],
        "annotations": [],
    }
    ids = {c.wnid: c.id for c in categories}
    root, known = Path(annotations), set(listed)
    names = [*listed, *(n for n in _all_det_images(root) if n not in known)]
    read = partial(_read_det, root)
    for name, image in zip(names, _results(read, names, workers, "reading images"), strict=True):
        image_id = len(content["images"]) + 1
        content["images"].append(
            {
                "file_name": f"{name}.JPEG",
                "height": image.height,
                "width": image.width,
                "id": image_id,
                "is_vid_train_frame": name in known,
            }
        )
        for item in image.objects:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": ids.get(item.wnid, other.id),
                    **item.shape(),
                    "iscrowd": False,
                }
            )
    return content


def _all_det_images(root: Path) -> Iterator[str]:
    """Every annotated training image, folder by folder, paths sorted as text."""
    for folder in DET_FOLDERS:
        for path in sorted(str(p) for p in (root / "train").glob(f"{folder}/*.xml")):
            yield Path(path).relative_to(root).with_suffix("").as_posix()


def _read_det(root: Path, name: str) -> XmlImage:
    return read_annotation(root / f"{name}.xml")


def _results(function: Any, items: Sequence[Any], workers: int, what: str) -> Iterator[Any]:
    """Results in order, with progress; in processes where that pays.

    Garbage collection rests meanwhile: millions of records are made, none is dropped, and
    looking through them again and again would cost more than making them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        if workers <= 1 or len(items) < 2:
            yield from track(map(function, items), what, total=len(items))
            return
        with ProcessPoolExecutor(workers) as pool:
            chunk = max(1, min(64, len(items) // (4 * workers)))
            results = pool.map(function, items, chunksize=chunk)
            yield from track(results, what, total=len(items))
    finally:
        if collects:
            gc.enable()


# -------------------------------------------------------------------------- checks


def check_cocovid(
    content: Content,
    file: str | Path,
    videos: Sequence[ListedVideo] | None = None,
    images: Sequence[str] | None = None,
) -> list[str]:
    """What is wrong with a CocoVID file that somebody else made; empty when nothing is.

    Args:
        content: of the file.
        file: named in errors.
        videos: what the list says; lengths and order are compared.
        images: the training images that the DET list says.

    Raises:
        EgolibError: fields are missing, so that nothing can be read at all.
    """
    _require_fields(content, file)
    problems = []
    if any(image["id"] != i for i, image in enumerate(content["images"], start=1)):
        problems.append("image ids are not 1, 2, ... in order: the VID metric needs that")
    known = {image["id"] for image in content["images"]}
    orphans = sum(a["image_id"] not in known for a in content["annotations"])
    if orphans:
        problems.append(f"{orphans} annotations belong to no image")
    if "videos" in content:
        problems += _check_frames(content)
    if videos is not None:
        problems += _compare_videos(content, videos)
    if images is not None:
        trained = [i["file_name"] for i in content["images"] if i["is_vid_train_frame"]]
        if sorted(trained) != sorted(f"{name}.JPEG" for name in images):
            problems.append(
                f"{len(trained)} training images, the list names {len(images)}, or others"
            )
    return problems


def _require_fields(content: Content, file: str | Path) -> None:
    needed = {
        "categories": ("id", "name"),
        "images": ("file_name", "height", "width", "id", "is_vid_train_frame"),
        "annotations": ("id", "image_id", "category_id", "bbox"),
    }
    if content.get("videos"):
        needed["images"] = (*needed["images"], "frame_id", "video_id")
    for part, fields in needed.items():
        if part not in content:
            raise EgolibError(f"{part!r} is missing", file=file)
        for number, entry in enumerate(content[part]):
            missing = [f for f in fields if f not in entry]
            if missing:
                raise EgolibError(
                    f"field {missing[0]!r} is missing",
                    file=file,
                    record=f"{part}[{number}]",
                    remedy="own data need frame_id from 0 and is_vid_train_frame true for the "
                    "frames to train on, else all frames are left out",
                )


def _check_frames(content: Content) -> list[str]:
    """Every video's frames must be numbered 0, 1, ... in order."""
    following: dict[int, int] = {}
    wrong = set()
    for image in content["images"]:
        video = image["video_id"]
        if image["frame_id"] != following.get(video, 0):
            wrong.add(video)
        following[video] = image["frame_id"] + 1
    return [f"{len(wrong)} videos whose frame_id does not run 0, 1, ..."] if wrong else []


def _compare_videos(content: Content, videos: Sequence[ListedVideo]) -> list[str]:
    lengths: dict[int, int] = {}
    for image in content["images"]:
        lengths[image["video_id"]] = lengths.get(image["video_id"], 0) + 1
    found = [(v["name"], lengths.get(v["id"], 0)) for v in content["videos"]]
    listed = [(v.name, v.frames) for v in videos]
    if found == listed:
        return []
    if sorted(found) == sorted(listed):
        return ["the videos stand in another order than in the list"]
    different = set(found) ^ set(listed)
    return [f"{len(different)} videos are missing, unknown or of another length than listed"]
