"""``1_data``: the CocoVID files of a data set, given or converted, checked and counted (no torch).

Files that exist below the data root are checked against the lists; those that do not are
converted from the XML files into the step's folder, where the later steps find them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.io.sources import sources
from egolib.metrics.detection import RANGES
from egolib.metrics.motion_speed import MotionTable
from egolib.report.source import show
from egolib.runs.step import Step
from egolib.viz.pictures import spread
from egolib.vod.config import Config, EvaluateConfig
from egolib.vod.config.data import DataConfig
from egolib.vod.data.classes import IMAGENET_VID, Category, make_categories
from egolib.vod.data.cocovid import Content, check_cocovid, convert_det, convert_vid
from egolib.vod.data.dataset import Source, class_names, make_source
from egolib.vod.data.images import ImageReport, image_folder, look_at_images
from egolib.vod.data.index import VideoIndex, read_index
from egolib.vod.data.lists import DET_TRAIN, VID_TRAIN, VID_VAL, find_list, read_images, read_videos
from egolib.vod.evaluation import motion_table
from egolib.vod.formats.submission import DetectionSet

__all__ = ["convert_vid", "motion_table", "show", "sources"]  # also shown in the notebook

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
        images: whether its images can be read.
    """

    path: Path
    converted: bool
    index: VideoIndex
    problems: list[str] = field(default_factory=list)
    images: ImageReport = field(default_factory=ImageReport)

    @property
    def notes(self) -> list[str]:
        """Everything that stands out."""
        return self.problems + self.images.notes()


Files = dict[str, AnnotationFile]


@dataclass(frozen=True)
class TestSet:
    """What is tested and scored on.

    Args:
        source: the annotated videos.
        motion: speed of every true box.
        config: conventions of the scores.
    """

    __test__ = False

    source: Source
    motion: MotionTable
    config: EvaluateConfig

    @property
    def degraded(self) -> np.ndarray:
        """Rows of the frames whose annotations are flagged as ``generated``."""
        index = self.source.index
        return np.unique(index.owner[index.generated])

    @property
    def sharp(self) -> np.ndarray:
        """Rows of the other frames."""
        return np.setdiff1d(np.arange(len(self.source.index)), self.degraded)


@dataclass(frozen=True)
class Prepared:
    """The annotation files of a run, and the test videos with the speed of every object."""

    files: Files
    test: TestSet


def prepare(step: Step[Config], workers: int = 0) -> Prepared:
    """Every annotation file, checked or made, and the test videos that it holds.

    Speeds are computed from the tracks; ``4_evaluate`` reads a table where
    ``evaluate.motion`` names one.

    Args:
        step: ``1_data``.
        workers: processes that read XML; 0 for as many as there are processors.
    """
    files = convert(step, workers)
    source = evaluation_source(step)
    return Prepared(files, TestSet(source, motion_table(source), step.config.evaluate))


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
    data, root = step.config.data, step.data_root
    videos, stills = ("train_vid",), ("train_det",)
    wanted = {"both": videos + stills, "videos": videos, "stills": stills}
    return [
        make_source(annotation_file(step, part), root / image_folder(data, part), data, train=True)
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
        step: ``1_data``.
        workers: processes that read XML; 0 for as many as there are processors.
    """
    return {
        part: _one_file(step, part, workers or _processors()) for part in parts_of(step.config.data)
    }


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_file(step: Step[Config], part: Part, workers: int) -> AnnotationFile:
    given = step.data_root / getattr(step.config.data, part)
    images = step.data_root / image_folder(step.config.data, part)
    if given.is_file():
        problems = problems_of(step, part, read_json(given, dict))
        index = read_index(given)
        return AnnotationFile(given, False, index, problems, look_at_images(index, images))
    made = write_json(step.out / given.name, from_xml(step, part, workers))
    index = read_index(made)
    return AnnotationFile(made, True, index, images=look_at_images(index, images))


def from_xml(step: Step[Config], part: Part, workers: int = 1) -> Content:
    """CocoVID content from the XML files and the list of a part.

    Args:
        step: whose data root holds the files.
        part: which file is made.
        workers: processes that read XML.
    """
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


def problems_of(step: Step[Config], part: Part, content: Content) -> list[str]:
    """What is wrong with a file that was given; without its list only the format is checked.

    Args:
        step: whose data root holds the lists.
        part: which file.
        content: of it.
    """
    file = step.data_root / getattr(step.config.data, part)
    try:
        listed = _list_of(step, part)
    except EgolibError as error:
        return [*check_cocovid(content, file), f"not compared with a list: {error.what}"]
    if part == "train_det":
        return check_cocovid(content, file, images=read_images(listed))
    return check_cocovid(content, file, videos=read_videos(listed))


def agrees_with_xml(step: Step[Config], part: Part = "evaluation") -> bool | None:
    """Whether converting the XML files again gives a file that was given; None without XML files
    or their list."""
    data = step.config.data
    given, xml = step.data_root / getattr(data, part), step.data_root / data.annotations_vid
    if not (given.is_file() and xml.is_dir() and _has_list(step, part)):
        return None
    return bool(from_xml(step, part, _processors()) == read_json(given, dict))


def _has_list(step: Step[Config], part: Part) -> bool:
    try:
        return _list_of(step, part).is_file()
    except EgolibError:
        return False


def _list_of(step: Step[Config], part: Part) -> Path:
    data = step.config.data
    root = (step.data_root / data.annotations_vid).parents[1]
    return find_list(root, LISTS[part], step.data_root / data.lists if data.lists else None)


def _categories(data: DataConfig) -> list[Category]:
    return make_categories(data.classes or IMAGENET_VID)


# ---------------------------------------------------------------------------- tables


def table(prepared: Prepared) -> pd.DataFrame:
    """One row a file: where it comes from, what it holds, what stands out."""
    import pandas as pd

    rows = {
        part: {
            "file": file.path.name,
            "from": "XML files, converted here" if file.converted else "given",
            **count(file.index),
            "notes": "; ".join(file.notes),
        }
        for part, file in prepared.files.items()
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


def counts(prepared: Prepared) -> dict[str, Any]:
    """Counts by part, for ``result.json``."""
    return {part: count(file.index) for part, file in prepared.files.items()}


def class_table(step: Step[Config], prepared: Prepared) -> pd.DataFrame:
    """Objects of every class, by file."""
    import pandas as pd

    columns = {}
    for part, file in prepared.files.items():
        names, index = file.index.class_names(), file.index
        numbers = {int(i): 0 for i in index.category_id}
        for category, number in zip(*np.unique(index.category, return_counts=True), strict=True):
            numbers[int(category)] = int(number)
        columns[part] = {names[k]: n for k, n in enumerate(numbers.values())}
    return pd.DataFrame(columns).reindex(class_names(step.config.data)).fillna(0).astype(int)


def speed_counts(motion: MotionTable) -> dict[str, int]:
    """True objects of each speed, groups as in the metric (borders count twice)."""
    groups = {name: limits for name, limits in RANGES.items() if name != "all"}
    values = motion.values
    return {
        name: int(((values >= low) & (values <= high)).sum())
        for name, (low, high) in groups.items()
    }


def metrics(prepared: Prepared) -> dict[str, Any]:
    """How many objects of each speed, and how many frames, for ``result.json``."""
    test = prepared.test
    frames = {"degraded": len(test.degraded), "all": len(test.source.index)}
    return {"test_objects": speed_counts(test.motion), "test_frames": frames}


def speed_table(prepared: Prepared) -> pd.DataFrame:
    """The same as a table."""
    import pandas as pd

    numbers = metrics(prepared)
    frames = {f"{name} frames": count for name, count in numbers["test_frames"].items()}
    return pd.DataFrame({"test videos": numbers["test_objects"] | frames})


def check(step: Step[Config], prepared: Prepared) -> None:
    """Raises where a file contradicts its list, is empty, is not what the XML files give, or
    some of its images cannot be read. Where none of a part's images is there, that is noted.

    Raises:
        EgolibError: naming the file.
    """
    for part, file in prepared.files.items():
        serious = [p for p in file.problems if not p.startswith("not compared")]
        if serious:
            raise EgolibError(f"{part}: {serious[0]}", file=file.path)
        if not len(file.index.owner):
            raise EgolibError(f"{part}: no object is annotated", file=file.path)
        file.images.require_whole(part, file.path)
    if agrees_with_xml(step) is False:
        raise EgolibError(
            "the XML files give other annotations", file=prepared.files["evaluation"].path
        )


# ---------------------------------------------------------------------------- examples


def frames_of_one_video(
    test: TestSet, found: DetectionSet | None = None, count: int = 6
) -> list[int]:
    """Rows of ``count`` frames of one video, spread over its frames with objects.

    The video is the first with as many degraded and sharp frames as any: chosen by the
    annotations, never by the detections.

    Args:
        test: the annotated videos.
        found: only videos that these detections cover.
        count: how many frames.
    """
    index = test.source.index
    rows = np.arange(len(index))
    usable = np.isin(rows, index.owner)
    if found is not None:
        usable &= np.isin(index.image_id, found.image_id)
    degraded = np.isin(rows, test.degraded)
    videos = [usable & (index.video == v) for v in range(len(index.video_id))]
    both = [min(int((own & degraded).sum()), int((own & ~degraded).sum())) for own in videos]
    chosen = np.flatnonzero(videos[int(np.argmax(both))])
    return [int(row) for row in spread(chosen, count)]
