"""``1_data``: the CocoVID files of a data set, given or converted, checked and counted (no torch).

Files that exist below the data root are checked against the lists; those that do not are
converted from the XML files into the step's folder, where the later steps find them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.metrics.detection import RANGES
from egolib.metrics.motion_speed import MotionTable
from egolib.runs.step import Step
from egolib.vod.config import Config
from egolib.vod.config.data import DataConfig
from egolib.vod.data.classes import IMAGENET_VID, Category, make_categories
from egolib.vod.data.cocovid import Content, check_cocovid, convert_det, convert_vid
from egolib.vod.data.dataset import Source, class_names, make_source
from egolib.vod.data.index import VideoIndex, read_index
from egolib.vod.data.lists import DET_TRAIN, VID_TRAIN, VID_VAL, find_list, read_images, read_videos

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["train_vid", "train_det", "evaluation"]
PARTS: tuple[Part, ...] = ("train_vid", "train_det", "evaluation")
LISTS = {"train_vid": VID_TRAIN, "train_det": DET_TRAIN, "evaluation": VID_VAL}


@dataclass(frozen=True)
class AnnotationFile:
    """One CocoVID file of this run.

    Args:
        path: where it lies.
        converted: whether this step made it from XML files.
        index: its content.
        problems: what does not fit the lists or the format.
    """

    path: Path
    converted: bool
    index: VideoIndex
    problems: list[str] = field(default_factory=list)


Files = dict[str, AnnotationFile]


# --------------------------------------------------------------------------- finding


def find_below(root: Path, name: str) -> Path:
    """A file of the configuration: below the data root, or where it says.

    Raises:
        EgolibError: it is not there.
    """
    path = root / Path(name).expanduser()
    if not path.exists():
        raise EgolibError("not found", file=path, remedy="see --data-root and the section `data`")
    return path


def annotation_file(step: Step[Config], part: Part) -> Path:
    """A CocoVID file: below the data root, or as ``1_data`` converted it.

    Raises:
        EgolibError: it is in neither place.
    """
    name = getattr(step.config.data, part)
    given = step.data_root / name
    made = _own_folder(step) / Path(name).name
    if not given.is_file() and not made.is_file():
        raise EgolibError("not found", file=given, remedy=f"1_data makes it: {made}")
    return given if given.is_file() else made


def _own_folder(step: Step[Config]) -> Path:
    return step.out if step.name == "1_data" else step.input("data")


def parts_of(data: DataConfig) -> list[Part]:
    """The files that a configuration names; the still images may be left out."""
    return [part for part in PARTS if getattr(data, part)]


def training_sources(step: Step[Config]) -> list[Source]:
    """What a step trains on: videos, then still images."""
    data = step.config.data
    images = {"train_vid": data.images_vid, "train_det": data.images_det}
    wanted = {"both": tuple(images), "videos": ("train_vid",), "stills": ("train_det",)}
    return [
        make_source(annotation_file(step, part), step.data_root / images[part], data, train=True)
        for part in parts_of(data)
        if part in wanted[data.train_on]
    ]


def evaluation_source(step: Step[Config]) -> Source:
    """The videos that a step is tested on."""
    data = step.config.data
    path = annotation_file(step, "evaluation")
    return make_source(path, step.data_root / data.images_vid, data, train=False)


# ------------------------------------------------------------------------ converting


def convert(step: Step[Config], workers: int = 0) -> Files:
    """Every file of the configuration, checked where it exists, made where it does not.

    Args:
        workers: processes that read XML; 0 for as many as there are processors.
    """
    return {
        part: _one_file(step, part, workers or _processors()) for part in parts_of(step.config.data)
    }


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_file(step: Step[Config], part: Part, workers: int) -> AnnotationFile:
    given = step.data_root / getattr(step.config.data, part)
    if given.is_file():
        problems = check(step, part, read_json(given, dict))
        return AnnotationFile(given, False, read_index(given), problems)
    made = write_json(step.out / given.name, from_xml(step, part, workers))
    return AnnotationFile(made, True, read_index(made))


def from_xml(step: Step[Config], part: Part, workers: int = 1) -> Content:
    """CocoVID content from the XML files and the list of a part."""
    data, root = step.config.data, step.data_root
    listed, categories = _list_of(step, part), _categories(data)
    if part == "train_det":
        folder = find_below(root, data.annotations_det)
        return convert_det(folder, read_images(listed), categories, workers=workers)
    return convert_vid(
        find_below(root, data.annotations_vid),
        read_videos(listed),
        categories,
        train=part == "train_vid",
        frame_offset=data.frame_offset,
        workers=workers,
    )


def check(step: Step[Config], part: Part, content: Content) -> list[str]:
    """What is wrong with a file that was given; without its list only the format is checked."""
    file = step.data_root / getattr(step.config.data, part)
    try:
        listed = _list_of(step, part)
    except EgolibError as error:
        return [*check_cocovid(content, file), f"not compared with a list: {error.what}"]
    if part == "train_det":
        return check_cocovid(content, file, images=read_images(listed))
    return check_cocovid(content, file, videos=read_videos(listed))


def agrees_with_xml(step: Step[Config], part: Part = "evaluation") -> bool | None:
    """Whether converting the XML files again gives a file that was given; None without XML."""
    data = step.config.data
    given, xml = step.data_root / getattr(data, part), step.data_root / data.annotations_vid
    if not (given.is_file() and xml.is_dir()):
        return None
    return from_xml(step, part, _processors()) == read_json(given, dict)


def _list_of(step: Step[Config], part: Part) -> Path:
    data = step.config.data
    root = (step.data_root / data.annotations_vid).parents[1]
    return find_list(root, LISTS[part], step.data_root / data.lists if data.lists else None)


def _categories(data: DataConfig) -> list[Category]:
    return make_categories(data.classes or IMAGENET_VID)


# ---------------------------------------------------------------------------- tables


def table(files: Mapping[str, AnnotationFile]) -> pd.DataFrame:
    """One row a file: where it comes from, what it holds, what stands out."""
    import pandas as pd

    rows = {
        part: {
            "file": file.path.name,
            "from": "XML files, converted here" if file.converted else "given",
            **count(file.index),
            "notes": "; ".join(file.problems),
        }
        for part, file in files.items()
    }
    return pd.DataFrame(rows).T


def count(index: VideoIndex) -> dict[str, int]:
    """Videos, images, images to train on, and objects of a file."""
    return {
        "videos": len(index.video_id),
        "images": len(index),
        "trained on": int(index.trained.sum()),
        "objects": len(index.owner),
        "instances": len(np.unique(index.instance[index.instance >= 0])),
    }


def counts(files: Mapping[str, AnnotationFile]) -> dict[str, Any]:
    """Counts by part, for ``result.json``."""
    return {part: count(file.index) for part, file in files.items()}


def class_table(files: Mapping[str, AnnotationFile], data: DataConfig) -> pd.DataFrame:
    """Objects of every class, by file."""
    import pandas as pd

    columns = {}
    for part, file in files.items():
        names, index = file.index.class_names(), file.index
        numbers = {int(i): 0 for i in index.category_id}
        for category, number in zip(*np.unique(index.category, return_counts=True)):
            numbers[int(category)] = int(number)
        columns[part] = {names[k]: n for k, n in enumerate(numbers.values())}
    return pd.DataFrame(columns).reindex(class_names(data)).fillna(0).astype(int)


def speed_counts(motion: MotionTable) -> dict[str, int]:
    """True objects of each speed, groups as in the metric (borders count twice)."""
    groups = {name: limits for name, limits in RANGES.items() if name != "all"}
    values = motion.values
    return {
        name: int(((values >= low) & (values <= high)).sum())
        for name, (low, high) in groups.items()
    }


def require_usable(files: Mapping[str, AnnotationFile]) -> None:
    """Raises EgolibError where a file does not fit the lists or the format."""
    for part, file in files.items():
        serious = [p for p in file.problems if not p.startswith("not compared")]
        if serious:
            raise EgolibError(f"{part}: {serious[0]}", file=file.path)
