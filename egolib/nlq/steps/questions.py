"""Question files of VSLNet (``model.span``): ``1_data`` writes, vlp reads them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from egolib.io.records import write_json
from egolib.nlq.config import Config
from egolib.nlq.data.annotations import Query, read_official
from egolib.nlq.data.stores import look_for
from egolib.nlq.data.vslnet.questions import prepare
from egolib.runs.step import Step

CLIPS = "{}_clips.json"


def write_questions(
    step: Step[Config], files: Mapping[str, Path], further: Mapping[str, Sequence[Query]]
) -> None:
    """Writes the prepared file of each split, and its table of clips, into the step's folder.

    Args:
        step: its grid.
        files: official annotations by split.
        further: narrations that are asked about the clips of a split, too.
    """
    for split, file in files.items():
        more = further.get(split, ())
        prepared, clips = prepare(read_official(file), step.config.data.span, file, more)
        write_json(step.out / f"{split}.json", prepared)
        write_json(step.out / CLIPS.format(split), clips)


def official_files(step: Step[Config], names: Mapping[str, str]) -> dict[str, Path]:
    """The official annotation files that are there, by split.

    Args:
        step: its data root.
        names: of the files below it, by split.
    """
    found = {split: look_for(step.data_root, name) for split, name in names.items()}
    return {split: file for split, file in found.items() if file is not None}
