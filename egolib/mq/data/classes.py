"""The class table: names of the moment classes and their numbers; 0 is the background."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from egolib.errors import EgolibError
from egolib.io.records import read_json, write_json
from egolib.io.schema import Count, Text, validated
from egolib.mq.config import BACKGROUND, DataConfig
from egolib.mq.data.annotations import Clip, select

BACKGROUND_NAME = "Background"

ClassTable = dict[str, int]


def make_classes(clips: Iterable[Clip], config: DataConfig) -> ClassTable:
    """The table of the labels that occur, in plain string order from 1.

    Official behaviour: it is made of the training labels, so that a class which only
    validation has is unknown.

    Args:
        clips: of all splits.
        config: whose labels count.
    """
    clips = list(clips)
    counted = clips if config.classes == "all_splits" else select(clips, "train")
    names = sorted({moment.label for clip in counted for moment in clip.moments})
    return {BACKGROUND_NAME: BACKGROUND} | {
        name: number for number, name in enumerate(names, start=1)
    }


def read_classes(path: str | Path) -> ClassTable:
    """An official ``moment_classes_idx.json``.

    Raises:
        EgolibError: the numbers are not 0, 1, 2, ... with the background first.
    """
    table: ClassTable = validated(dict[Text, Count], read_json(path, dict), file=path)
    if sorted(table.values()) != [*range(len(table))]:
        raise EgolibError(f"the class numbers must be 0 to {len(table) - 1}, each once", file=path)
    if table.get(BACKGROUND_NAME) != BACKGROUND:
        raise EgolibError(f"class 0 must be {BACKGROUND_NAME!r}", file=path)
    return table


def write_classes(path: str | Path, table: ClassTable) -> Path:
    """Writes the table as the official file."""
    return write_json(path, table)


def class_names(table: ClassTable) -> list[str]:
    """Names by number."""
    return sorted(table, key=table.__getitem__)
