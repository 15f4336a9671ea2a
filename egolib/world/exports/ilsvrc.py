"""ImageNet VID and DET: snippets and sharp stills with XML, lists, and CocoVID files.

``generated`` is 1 where a view is degraded: there the box comes from the log, as
interpolated boxes do in the real set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from egolib.io.records import write_json, write_text
from egolib.world.catalog import CLASSES, OTHER_WNIDS
from egolib.world.episode import Episode
from egolib.world.exports.snippets import Plan, Snippet, make_plan
from egolib.world.library import Video, World
from egolib.world.visibility import OCCLUDED_FRACTION, Truth

TRAIN_FRAMES = 15  # frames of a training video that the official list names

# ------------------------------------------------------------------- image writing


class ImageWriter:
    """Writes the planned images of a video while its frames pass by."""

    def __init__(self, plan: Plan, root: Path, quality: int):
        self._paths, self._root, self._quality = plan.images(), root / "ILSVRC", quality

    def add(self, index: int, image: np.ndarray) -> None:
        """Writes the images that show this frame."""
        if index not in self._paths:
            return
        options = [cv2.IMWRITE_JPEG_QUALITY, self._quality]
        done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)
        assert done
        for path in self._paths[index]:
            file = self._root / "Data" / f"{path}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.tobytes())


def write_xml(plan: Plan, episode: Episode, truth: Truth, root: Path) -> None:
    """Writes one XML file beside every planned image.

    Args:
        plan: snippets and stills of the video.
        episode: what happens.
        truth: boxes of all frames.
        root: folder of the data set.
    """
    names = [c.wnid for c in CLASSES]
    wnids = [names[i.class_index] for i in episode.room.instances]
    wnids += [OTHER_WNIDS[name] for name in episode.entities[len(wnids) :]]
    for frame, paths in plan.images().items():
        for path in paths:
            still = path.startswith("DET/")
            objects = annotated(episode, truth, frame, others=still)
            file = root / "ILSVRC" / "Annotations" / f"{path}.xml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_xml(path, episode, objects, wnids, still))


@dataclass(frozen=True)
class Annotated:
    """One box: its entity, xyxy integers, and two flags."""

    entity: int
    box: tuple[int, int, int, int]
    occluded: bool
    generated: bool


def annotated(episode: Episode, truth: Truth, frame: int, others: bool) -> list[Annotated]:
    """The boxes of a frame; ``others`` adds tap, lamp and people.

    Args:
        episode: what happens.
        truth: boxes of all frames.
        frame: its number.
        others: whether tap, lamp and people are added.
    """
    seen = truth.visible(episode.settings)[frame]
    count = len(episode.entities) if others else len(episode.room.instances)
    return [
        Annotated(
            int(entity),
            tuple(int(v) for v in truth.boxes[frame, entity]),  # type: ignore[arg-type]
            bool(truth.fraction[frame, entity] < OCCLUDED_FRACTION),
            bool(truth.degraded[frame]),
        )
        for entity in np.flatnonzero(seen[:count])
    ]


def _xml(
    path: str, episode: Episode, objects: list[Annotated], wnids: list[str], still: bool
) -> str:
    settings = episode.settings
    folder, _, name = path.partition("/")[2].rpartition("/")
    lines = [
        "<annotation>",
        f"\t<folder>{folder}</folder>",
        f"\t<filename>{name}</filename>",
        "\t<source><database>egolib built-in world</database></source>",
        f"\t<size><width>{settings.view_width}</width><height>{settings.view_height}</height></size>",
    ]
    for thing in objects:
        x0, y0, x1, y1 = thing.box
        lines.append("\t<object>")
        if not still:
            lines.append(f"\t\t<trackid>{thing.entity}</trackid>")
        lines += [
            f"\t\t<name>{wnids[thing.entity]}</name>",
            f"\t\t<bndbox><xmax>{x1}</xmax><xmin>{x0}</xmin><ymax>{y1}</ymax><ymin>{y0}</ymin></bndbox>",
        ]
        if not still:
            lines += [
                f"\t\t<occluded>{int(thing.occluded)}</occluded>",
                f"\t\t<generated>{int(thing.generated)}</generated>",
            ]
        lines.append("\t</object>")
    return "\n".join([*lines, "</annotation>", ""])


# ------------------------------------------------------------------ lists and JSON


def export(world: World) -> None:
    """Writes the lists, the class names with their ids, and the three CocoVID files."""
    train = [(v, p) for v in world.of("train") for p in [make_plan(v.episode)]]
    val = [(v, p) for v in world.of("val", "test") for p in [make_plan(v.episode)]]
    _write_lists(world, train, val)
    classes = [f"{c.name} {c.wnid}" for c in CLASSES]
    write_text(world.path("ILSVRC", "classes.txt"), "\n".join([*classes, ""]))
    folder = world.path("ILSVRC", "annotations")
    write_json(folder / "imagenet_vid_train.json", _coco_vid(train, True))
    write_json(folder / "imagenet_vid_val.json", _coco_vid(val, False))
    write_json(folder / "imagenet_det_30plus1cls.json", _coco_det(train))


Planned = list[tuple[Video, Plan]]


def _snippets(planned: Planned) -> Iterator[tuple[Video, Snippet]]:
    for video, plan in planned:
        for snippet in plan.snippets:
            yield video, snippet


def listed_frames(length: int) -> list[int]:
    """The 0-based training frames of the official list."""
    count = min(TRAIN_FRAMES, length)
    return [int((i + 0.5) * length / count) for i in range(count)]


def _write_lists(world: World, train: Planned, val: Planned) -> None:
    frames = [
        f"{s.name} 1 {f} {s.end - s.start}"
        for _, s in _snippets(train)
        for f in listed_frames(s.end - s.start)
    ]
    videos, images, number = [], [], 1
    for _, snippet in _snippets(val):
        length = snippet.end - snippet.start
        videos.append(f"{snippet.name} {number} 0 {length}")
        images += [f"{snippet.name}/{k:06d} {number + k}" for k in range(length)]
        number += length
    stills = [f"{name} 1" for _, plan in train for name in plan.stills.values()]
    lists = {
        "VID_train_15frames": frames,
        "VID_val_videos": videos,
        "VID_val_frames": images,
        "DET_train_30classes": stills,
    }
    for name, lines in lists.items():
        write_text(world.path("ILSVRC", "ImageSets", f"{name}.txt"), "\n".join([*lines, ""]))


def _categories() -> list[dict[str, Any]]:
    return [{"id": c.index + 1, "name": c.name, "encode_name": c.wnid} for c in CLASSES]


def _coco_vid(planned: Planned, training: bool) -> dict[str, Any]:
    """The CocoVID content; listed frames are shifted by -1 as the official converter does."""
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    instances: dict[tuple[str, int], int] = {}
    for video, snippet in _snippets(planned):
        listed = [f - 1 for f in listed_frames(snippet.end - snippet.start)] if training else []
        video_id = len(videos) + 1
        videos.append({"id": video_id, "name": snippet.name, "vid_train_frames": listed})
        for k in range(snippet.end - snippet.start):
            image_id = len(images) + 1
            images.append(
                {
                    "file_name": f"{snippet.name}/{k:06d}.JPEG",
                    "height": video.settings.view_height,
                    "width": video.settings.view_width,
                    "id": image_id,
                    "frame_id": k,
                    "video_id": video_id,
                    "is_vid_train_frame": k in listed,
                }
            )
            for thing in annotated(video.episode, video.truth, snippet.start + k, False):
                instance = instances.setdefault((snippet.name, thing.entity), len(instances) + 1)
                row = _annotation(video.episode, thing, len(annotations) + 1, image_id)
                row |= {
                    "video_id": video_id,
                    "instance_id": instance,
                    "occluded": thing.occluded,
                    "generated": thing.generated,
                }
                annotations.append({name: row[name] for name in VID_FIELDS})
    return {
        "categories": _categories(),
        "videos": videos,
        "images": images,
        "annotations": annotations,
    }


VID_FIELDS = (
    "id",
    "video_id",
    "image_id",
    "category_id",
    "instance_id",
    "bbox",
    "area",
    "iscrowd",
    "occluded",
    "generated",
)


def _annotation(episode: Episode, thing: Annotated, number: int, image_id: int) -> dict[str, Any]:
    x0, y0, x1, y1 = thing.box
    instances = episode.room.instances
    known = thing.entity < len(instances)
    category = instances[thing.entity].class_index + 1 if known else len(CLASSES) + 1
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": False,
    }


def _coco_det(planned: Planned) -> dict[str, Any]:
    """Still images, with the extra class for everything outside the class list."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video, plan in planned:
        for frame, name in plan.stills.items():
            images.append(
                {
                    "file_name": f"{name}.JPEG",
                    "height": video.settings.view_height,
                    "width": video.settings.view_width,
                    "id": len(images) + 1,
                    "is_vid_train_frame": True,
                }
            )
            for thing in annotated(video.episode, video.truth, frame, True):
                annotations.append(
                    _annotation(video.episode, thing, len(annotations) + 1, len(images))
                )
    other = {"id": len(CLASSES) + 1, "name": "other_categeries", "encode_name": None}
    return {
        "categories": [*_categories(), other],
        "images": images,
        "annotations": annotations,
    }
