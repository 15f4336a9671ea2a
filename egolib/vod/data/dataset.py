"""Training clips and test videos: annotations, references and images brought together."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from egolib.errors import EgolibError
from egolib.ops.boxes_numpy import from_xywh
from egolib.video.images import read_image as read_rgb
from egolib.vod.config.data import DataConfig, MegaSampling
from egolib.vod.config.infer import InferConfig
from egolib.vod.data.classes import IMAGENET_VID
from egolib.vod.data.index import VideoIndex, read_index
from egolib.vod.data.pipeline import Prepared, Sample, make_sample, prepare, prepare_clip
from egolib.vod.data.references import test_order, training_references

RECENT_INPUTS = 32


@dataclass(frozen=True)
class PreparedClip:
    """A training sample of network inputs: the key frame and the frames that help it."""

    key: Prepared
    references: list[Prepared] = field(default_factory=list)
    memory: list[Prepared] = field(default_factory=list)
    distant: list[Prepared] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """One annotation file with its image folder, and which of its images are trained on.

    Args:
        index: columns of the annotation file.
        images: folder that its file names are below.
        labels: label (from 0) of every category id that belongs to the classes.
        rows: images, as rows of the index.
        objects: (A,) bool: annotations that count as objects.
        boxes: (A, 4) float32 xyxy.
        label: (A,) int64, -1 outside the classes.
    """

    index: VideoIndex
    images: Path
    labels: dict[int, int]
    rows: np.ndarray
    objects: np.ndarray
    boxes: np.ndarray
    label: np.ndarray


def class_names(config: DataConfig) -> tuple[str, ...]:
    """Names of the classes, in label order."""
    return tuple(name for name, _ in config.classes or IMAGENET_VID)


def make_source(
    annotations: str | Path, images: str | Path, config: DataConfig, train: bool
) -> Source:
    """An annotation file as a source of images.

    Training keeps listed frames that have an object of the classes and a side of at
    least ``config.smallest`` pixels.

    Args:
        annotations: a CocoVID file.
        images: the folder that its file names are below.
        config: classes and smallest side.
        train: whether it is trained on.
    """
    index = read_index(annotations)
    labels = label_of_category(index, class_names(config), annotations)
    label = np.array([labels.get(int(c), -1) for c in index.category], np.int64)
    rows = np.arange(len(index))
    if train:
        counts = np.bincount(index.owner[label >= 0], minlength=len(index))
        small = np.minimum(index.width, index.height) < config.smallest
        rows = rows[index.trained & (counts > 0) & ~small]
    boxes = from_xywh(index.box_xywh).astype(np.float32)
    objects = valid_objects(index) & (label >= 0)
    return Source(index, Path(images), labels, rows, objects, boxes, label)


def valid_objects(index: VideoIndex) -> np.ndarray:
    """(A,) bool: annotations with a box that counts.

    Skipped, matching the official code, are ignored and crowd entries, boxes outside the
    image, without area, or
    with a side below one pixel.
    """
    x, y, width, height = index.box_xywh.T
    image_width, image_height = index.width[index.owner], index.height[index.owner]
    inside_x = np.minimum(x + width, image_width) - np.maximum(x, 0)
    inside_y = np.minimum(y + height, image_height) - np.maximum(y, 0)
    sides = (width >= 1) & (height >= 1)
    valid: np.ndarray = (inside_x > 0) & (inside_y > 0) & (index.area > 0) & sides
    valid &= ~index.ignore & ~index.crowd
    return valid


def label_of_category(index: VideoIndex, names: Sequence[str], file: str | Path) -> dict[int, int]:
    """Label (from 0) of every category id whose name is among the classes.

    Labels follow the order of the file, as the official reader's do.

    Args:
        index: the file's columns.
        names: of the classes.
        file: named in errors.

    Raises:
        EgolibError: a class is not in the file.
    """
    found = index.class_names()
    for name in names:
        if name not in found:
            raise EgolibError(f"class {name!r} is not among the categories", file=file)
    ids = [int(i) for i, name in zip(index.category_id, found, strict=True) if name in names]
    return {category: label for label, category in enumerate(ids)}


def object_rows(source: Source, image: int) -> np.ndarray:
    """Rows of the annotations that are objects of an image, in file order."""
    rows = source.index.annotations(image)
    own: np.ndarray = rows[source.objects[rows]]
    return own


def true_objects(source: Source, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (G, 4) float32 xyxy and labels (G,) int64 of an image."""
    rows = object_rows(source, image)
    return source.boxes[rows], source.label[rows]


def read_image(path: str | Path) -> np.ndarray:
    """An image as (H, W, 3) uint8, BGR, by the rule of ``egolib.video.images``.

    Raises:
        EgolibError: missing, truncated or no image.
    """
    return np.ascontiguousarray(read_rgb(path)[:, :, ::-1])


# -------------------------------------------------------------------------- training


class TrainingClips:
    """Clips of all sources, one after the other (VID, then DET).

    Args:
        sources: made with ``train=True``.
        mega: sample MEGA's further frames too.
    """

    def __init__(
        self, sources: Sequence[Source], config: DataConfig, mega: MegaSampling | None = None
    ) -> None:
        self.sources, self.config, self.mega = list(sources), config, mega
        self._ends = np.cumsum([len(s.rows) for s in self.sources])
        if not len(self):
            raise EgolibError(
                "no image is left to train on",
                remedy="is_vid_train_frame must be true for the frames to train on, and "
                "frame_id must start at 0",
            )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def sample(self, index: int, rng: np.random.Generator) -> PreparedClip:
        """One clip with its augmentation."""
        place = int(np.searchsorted(self._ends, index, side="right"))
        source = self.sources[place]
        first = int(self._ends[place]) - len(source.rows)
        image = int(source.rows[index - first])
        python = random.Random(int(rng.integers(2**62)))
        legacy = np.random.RandomState(int(rng.integers(2**32)))
        groups = self._groups(source, image, python)
        rows = [image, *(row for group in groups for row in group)]
        prepared = prepare_clip(_load(source, rows), self.config.pipeline, legacy)
        parts, start = [], 1
        for group in groups:
            parts.append(prepared[start : start + len(group)])
            start += len(group)
        return PreparedClip(prepared[0], *parts)

    def _groups(self, source: Source, image: int, rng: random.Random) -> list[list[int]]:
        """References, and by option MEGA's memory and distant frames."""
        if self.mega is not None:
            return mega_training_frames(source.index, image, self.mega, rng)
        return [
            training_references(source.index, image, self.config.train_references, rng),
            [],
            [],
        ]


def _load(source: Source, rows: Sequence[int]) -> list[Sample]:
    """Images with their objects; an image that occurs twice is read once."""
    read: dict[int, Sample] = {}
    for row in rows:
        if row not in read:
            image = read_image(source.images / source.index.path(row))
            read[row] = make_sample(image, *true_objects(source, row))
    return [read[row] for row in rows]


def mega_training_frames(
    index: VideoIndex, image: int, config: MegaSampling, rng: random.Random
) -> list[list[int]]:
    """Local, memory and distant images of a training image; copies of a still image.

    Args:
        index: of the data set.
        image: the key frame, a row of it.
        config: how many, how far away.
        rng: of all draws.
    """
    counts = (config.local, config.memory, config.distant)
    if index.is_still(image):
        return [[image] * count for count in counts]
    frames = index.frames(int(index.video[image])).tolist()
    place, last = int(index.frame[image]), len(frames) - 1

    def around(centre: int, count: int) -> list[int]:
        offsets = rng.sample(range(-config.reach, config.reach + 1), count)
        return [frames[min(max(centre + offset, 0), last)] for offset in offsets]

    return [
        around(place, config.local),
        around(max(place - config.back, 0), config.memory),
        rng.sample(frames, min(config.distant, len(frames))),
    ]


# --------------------------------------------------------------------------- testing


class TestVideo:
    """One video of a data set in the order of testing.

    Args:
        video: row of the video.
        order: images (rows of the index) in the order of testing.
    """

    __test__ = False
    parallel = True  # frames are files of their own

    def __init__(self, source: Source, config: DataConfig, video: int, order: Sequence[int]):
        self.source, self.config, self.video = source, config, video
        self.name = source.index.video_name[video].decode()
        self.rows = source.index.frames(video)
        self.order: Sequence[int] = [int(source.index.frame[row]) for row in order]
        self._recent: OrderedDict[int, Prepared] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        """Sent to other processes without the frames that are kept."""
        return {k: v for k, v in vars(self).items() if k not in ("_recent", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _recent=OrderedDict(), _lock=Lock())

    @property
    def number(self) -> int:
        """The number that ends the video's name; 0 without one."""
        digits = self.name.rpartition("_")[2]
        return int(digits) if digits.isdigit() else 0

    def image_id(self, place: int) -> int:
        """Id of the image at a place of the video."""
        return int(self.source.index.image_id[self.rows[place]])

    def input(self, place: int) -> Prepared:
        """A frame as network input; a sliding window meets its frames again, so the last
        few are kept."""
        with self._lock:
            known = self._recent.get(place)
        if known is None:
            path = self.source.images / self.source.index.path(int(self.rows[place]))
            known = prepare(read_image(path), self.config.pipeline)
            with self._lock:
                self._recent[place] = known
                if len(self._recent) > RECENT_INPUTS:
                    self._recent.popitem(last=False)
        return known


def test_videos(
    source: Source,
    config: DataConfig,
    infer: InferConfig,
    order: Sequence[int] | None = None,
) -> list[TestVideo]:
    """The videos of a data set, frames in the order of testing.

    Args:
        source: the annotated videos.
        config: preparation of frames.
        infer: whether frames are shuffled, and how many videos are taken.
        order: images (rows of the index), video by video; all by default, or one rank's
            part by ``references.split_videos``.
    """
    index = source.index
    if order is None:
        order = test_order(index, infer.shuffle_seed if infer.shuffle_frames else None)
    videos: dict[int, list[int]] = {}
    for row in order:
        videos.setdefault(int(index.video[row]), []).append(row)
    found = [TestVideo(source, config, video, rows) for video, rows in videos.items()]
    return found[: infer.max_videos or None]


def mega_test_places(
    place: int, shuffled: Sequence[int], window: int, position: int, size: int
) -> tuple[list[int], list[int]]:
    """Places of the frames that enter MEGA's local window and global memory with a frame.

    The first frame brings the frames after it that fill the window, and ``size`` global
    ones; every later frame brings one of each. Local places stop at the last frame.

    Args:
        place: of the frame.
        shuffled: all places of the video in the global order.
        window: frames of the local window.
        position: the current frame's place in it.
        size: frames of the global memory.
    """
    length, ahead = len(shuffled), window - position - 1
    far = range(size) if place == 0 else range(1)
    distant = [shuffled[(place + size - i - 1) % length] for i in far]
    if place == 0:
        return [min(i, length - 1) for i in range(1, ahead + 1)], distant
    return [min(place + ahead, length - 1)], distant


test_videos.__test__ = False  # type: ignore[attr-defined]
