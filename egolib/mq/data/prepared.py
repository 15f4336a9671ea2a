"""What ``1_data`` writes and all later steps read: clips, class table, where the features are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import Provenance, Store, open_store
from egolib.io.records import Skipped, read_json, write_json
from egolib.mq.config import Config, DataConfig, ModelConfig
from egolib.mq.data.annotations import FILES, Clip, read_clips, select
from egolib.mq.data.classes import ClassTable, make_classes, read_classes, write_classes
from egolib.mq.data.conversion import Conversion, convert, read_durations
from egolib.mq.data.rows import stored_rows
from egolib.runs.step import Step

CLIPS = "clip_annotations.json"
CLASSES = "moment_classes_idx.json"
FEATURES = "features.json"
MOMENTS = "moments"  #: the folder of features in that of a feature extraction


@dataclass(frozen=True)
class Prepared:
    """The task's data.

    Args:
        clips: of all splits, in the order of the official files.
        classes: numbers of the labels.
        store: the features.
        file: of the clips, named in errors.
        conversion: what did not get into it; None where it was read again.
        rows: features of every clip or video that can be read, by uid; empty where it was read
            again.
        unreadable: clips whose features cannot be read.
    """

    clips: list[Clip]
    classes: ClassTable
    store: Store
    file: Path
    conversion: Conversion | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    unreadable: Skipped = field(default_factory=Skipped)

    def of(self, subset: str) -> list[Clip]:
        """The clips of a subset."""
        return select(self.clips, subset)


def prepare(step: Step[Config]) -> Prepared:
    """Converts the official files, makes the class table, finds the features; writes all three.

    Raises:
        EgolibError: a malformed file, no annotations, or no features at all.
    """
    data, root = step.config.data, step.data_root
    folder = root / data.annotations
    files = [folder / name for name in FILES.values() if (folder / name).is_file()]
    if not files:
        raise EgolibError("no moments annotations", file=folder, remedy="see the table of sources")
    place = find_features(step)
    store = open_features(place, data)
    found = convert(files, read_durations(root / data.videos), store.length, data)
    file = write_json(step.out / CLIPS, found.clips)
    clips = read_clips(file)
    if data.class_table:
        classes = read_classes(root / data.class_table)
    else:
        classes = make_classes(clips, data)
    write_classes(step.out / CLASSES, classes)
    write_json(step.out / FEATURES, {"place": str(place)})
    return Prepared(clips, classes, store, file, found, *stored_rows(clips, store, data))


def read_prepared(step: Step[Config], folder: Path | None = None) -> Prepared:
    """What ``1_data`` wrote.

    Args:
        step: a later one.
        folder: of ``1_data``; None for the step's input ``data``.

    Raises:
        EgolibError: a file is missing, or the features are not where they were.
    """
    folder = folder or step.input("data")
    place = Path(read_json(folder / FEATURES, dict)["place"])
    file = folder / CLIPS
    store = open_features(place, step.config.data)
    return Prepared(read_clips(file), read_classes(folder / CLASSES), store, file)


def find_features(step: Step[Config]) -> Path:
    """The input ``features`` (a store, or a step that wrote one), else the first place there is.

    Raises:
        EgolibError: there is none.
    """
    if "features" in step.inputs:
        given = step.input("features")
        return given / MOMENTS if (given / MOMENTS).is_dir() else given
    places = step.config.data.features
    for place in places:
        if (step.data_root / place).exists():
            return (step.data_root / place).absolute()
    raise EgolibError(
        f"no features: none of {', '.join(places) or 'no places'} is there",
        file=step.data_root,
        remedy="extract some (egolib run vlp --variant mq_features), or name others: data.features",
    )


def open_features(place: Path, data: DataConfig) -> Store:
    """The store at a place; with ``data.noise_width`` noise in its stead."""
    store = open_store(place, Provenance(kind="video", width=0))
    return Noise(store, data.noise_width) if data.noise_width else store


class Noise:
    """As many rows as a store has, of noise that does not depend on anything seen.

    Args:
        store: whose clips and lengths are taken.
        width: of the rows.
    """

    def __init__(self, store: Store, width: int):
        self.store = store
        self.provenance = replace(store.provenance, width=width, model="noise", model_hash="")

    def uids(self) -> list[str]:
        """Those of the store."""
        return self.store.uids()

    def __contains__(self, uid: object) -> bool:
        return uid in self.store

    def length(self, uid: str) -> int:
        """Rows of a clip."""
        return self.store.length(uid)

    def get(self, uid: str) -> np.ndarray:
        """(n, width) float32; always the same for a clip."""
        rng = np.random.default_rng(list(uid.encode()))
        return rng.standard_normal((self.length(uid), self.provenance.width), np.float32)


def fitting(model: ModelConfig, prepared: Prepared) -> ModelConfig:
    """The network's configuration with the sizes that it takes from the data (0) filled in.

    Raises:
        EgolibError: a class table of another size than the network's.
    """
    width = model.feature_width or prepared.store.provenance.width
    classes = model.classes or len(prepared.classes)
    if classes != len(prepared.classes):
        raise EgolibError(
            f"a class table of {len(prepared.classes)} for a network of {classes} classes",
            file=prepared.file,
            remedy="set model.classes: 0 to take those of the table",
        )
    return replace(model, feature_width=width, classes=classes)


def with_moments(clips: Sequence[Clip]) -> list[Clip]:
    """The clips whose moments are known."""
    return [clip for clip in clips if clip.moments]
