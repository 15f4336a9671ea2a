"""``1_data``: from annotation files and full videos to clips, single images and training lists.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from egolib.errors import EgolibError
from egolib.io.records import Skipped, first_of, read_json
from egolib.io.sources import sources
from egolib.report.source import show
from egolib.runs.step import Step
from egolib.video import VideoReader
from egolib.video.extract import Extraction, extract
from egolib.video.plans import VideoPlan
from egolib.video.timing import clip_frames
from egolib.vq2d.config import Config, DataConfig
from egolib.vq2d.data.annotations import (
    Annotations,
    Query,
    find_annotations,
    read_annotations,
    write_processed,
)
from egolib.vq2d.data.images import negative_frames
from egolib.vq2d.data.prepare import check_clips, find_videos, plans

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")


def read_splits(step: Step[Config]) -> dict[str, Annotations]:
    """The annotation files that are there, by split, as published (test without answers).

    Raises:
        EgolibError: train or val is missing or malformed.
    """
    found = {name: read_annotations(find_annotations(step.data_root, name)) for name in SPLITS[:2]}
    try:
        path = find_annotations(step.data_root, "test")
    except EgolibError:
        return found
    return found | {"test": read_annotations(path)}


# --------------------------------------------------------------------------- cutting


def clips_folder(step: Step[Config]) -> Path:
    """Where clips lie: named by the configuration, else in the folder of ``1_data``."""
    return _folder(step, step.config.data.clips, "clips")


def images_folder(step: Step[Config]) -> Path:
    """Where single images lie."""
    return _folder(step, step.config.data.images, "images")


def _folder(step: Step[Config], named: str, default: str) -> Path:
    if named:
        return step.data_root / named
    return (step.out if step.name == "1_data" else step.input("data")) / default


@dataclass(frozen=True)
class Prepared:
    """What ``1_data`` made.

    Args:
        annotations: by split.
        extraction: clips and images that were written or already there.
        problems: what is wrong with the clips of each split.
    """

    annotations: Mapping[str, Annotations]
    extraction: Extraction
    problems: Mapping[str, Skipped]


def prepare(step: Step[Config]) -> Prepared:
    """Cuts clips and images out of the videos, writes the lists, and looks at the clips.

    Raises:
        EgolibError: the annotations of train or val are missing or malformed.
    """
    annotations = read_splits(step)
    data, done = step.config.data, cut(step, annotations)
    wanted = [split for split in annotations if split != "train" or data.train_clips]
    clips = clips_folder(step)
    found = {split: check_clips(annotations[split], clips, data.backend) for split in wanted}
    return Prepared(annotations, done, found)


def cut(step: Step[Config], annotations: Mapping[str, Annotations]) -> Extraction:
    """Cuts clips and images, each video in one pass, and writes the lists of queries.

    Clips of val and test, and of train where ``data.train_clips`` says so; images of train
    and val. What former runs finished is kept; what cannot be made is listed.
    """
    data, todo, skipped = step.config.data, [], Skipped()
    for split, own in annotations.items():
        images = None if split == "test" else images_folder(step)
        found, left_out = plans(own, find_videos(step.data_root), clips_folder(step), images, data)
        todo += [plan for each in found if (plan := _wanted(each, split, data)).targets]
        skipped.reasons.update(left_out.reasons)
        skipped.reasons.update(own.skipped.reasons)
        if split != "test":
            write_processed(own, step.out, split)
    done = extract(todo, workers=data.workers)
    done.skipped.reasons.update(skipped.reasons)
    return done


def _wanted(plan: VideoPlan, split: str, data: DataConfig) -> VideoPlan:
    return plan if split != "train" or data.train_clips else replace(plan, clips=())


def read_list(step: Step[Config], split: str) -> list[dict[str, Any]]:
    """The flat list of valid queries that ``1_data`` wrote."""
    result: list[dict[str, Any]] = read_json(step.input("data") / f"{split}_annot.json.gz", list)
    return result


def check(step: Step[Config], prepared: Prepared) -> None:
    """Raises EgolibError where the outcome is impossible.

    With complete data (all but ``paper``) every split has queries and every clip fits its
    annotations; real data may lack videos, which are listed.
    """
    for split, own in prepared.annotations.items():
        if not own.queries:
            raise EgolibError(f"no valid query in {split}", file=own.file)
    if not (prepared.extraction.written or prepared.extraction.kept):
        raise EgolibError("nothing was cut", file=step.out, remedy=problems(prepared))
    wrong = sum(len(found) for found in prepared.problems.values())
    if wrong and step.preset != "paper":
        raise EgolibError(f"{wrong} clips do not fit", file=step.out, remedy=problems(prepared))


def problems(prepared: Prepared) -> str:
    """Everything that was skipped or is strange, for people."""
    splits = prepared.annotations.items()
    lines = [f"queries of {split}: {own.skipped.summary()}" for split, own in splits]
    for split, own in splits:
        if odd := own.oddities():
            lines += [f"{len(odd)} oddities of {split}, kept:", *(f"  {x}" for x in first_of(odd))]
    lines += [f"extraction: {prepared.extraction.summary()}"]
    lines += [f"clips of {k}: {found.summary()}" for k, found in prepared.problems.items()]
    return "\n".join(lines)


# ----------------------------------------------------------------------------- tables


def table(prepared: Prepared | Mapping[str, Annotations]) -> pd.DataFrame:
    """One column a split: release, counts, and what queries and answers look like."""
    import pandas as pd

    annotations = prepared.annotations if isinstance(prepared, Prepared) else prepared
    return pd.DataFrame({split: describe(own) for split, own in annotations.items()})


def describe(annotations: Annotations) -> dict[str, Any]:
    """Counts and medians of one split; None for answers that the file does not hold."""
    queries = annotations.queries
    tracks = [query.track for query in queries if query.track]
    areas = [np.sqrt(box.area) for track in tracks for box in track]
    gaps = [q.query_frame - q.track[-1].frame for q in queries if q.track]
    return {
        "release": annotations.version,
        **annotations.counts(),
        "frames before the query, median": _median([q.query_frame for q in queries]),
        "frames of an answer, median": _median([len(track) for track in tracks]),
        "frames from the answer's end to the query, median": _median(gaps),
        "side of an answer's box in pixels, median": _median(areas),
        "frames without the object that follow it": sum(map(_negatives, queries)),
    }


def _median(values: list[Any]) -> float | None:
    return float(np.median(values)) if values else None


def _negatives(query: Query) -> int:
    return len(negative_frames([box.frame for box in query.track], query.query_frame))


def counts(prepared: Prepared) -> dict[str, Any]:
    """Version and counts, for ``result.json``."""
    splits = {split: own.counts() for split, own in prepared.annotations.items()}
    versions = sorted({own.version for own in prepared.annotations.values()})
    done = prepared.extraction
    made = {"targets": len(done.written) + len(done.kept), "skipped": len(done.skipped)}
    return {"version": "/".join(versions), **splits, **made}


def metrics(prepared: Prepared) -> dict[str, int]:
    """How many clips and images there are, and how many had to be skipped."""
    done = prepared.extraction
    return {"targets": len(done.written) + len(done.kept), "skipped": len(done.skipped)}


def work(prepared: Prepared) -> dict[str, int]:
    """How much was written and how much was there already: it changes when this is repeated."""
    done = prepared.extraction
    return {"written": len(done.written), "kept": len(done.kept)}


# ---------------------------------------------------------------------------- looking


def example(
    step: Step[Config], prepared: Prepared, split: str = "val", number: int = 0, frames: int = 4
) -> tuple[list[np.ndarray], list[str], list[tuple[float, ...]]]:
    """The crop of a query and frames of its answer, with titles and boxes, for a figure.

    Args:
        step: ``1_data``.
        prepared: what it made.
        split: that the query is of.
        number: of the query.
        frames: of the answer, evenly spread.
    """
    query = prepared.annotations[split].queries[number]
    chosen = np.linspace(0, len(query.track) - 1, min(frames, len(query.track))).astype(int)
    boxes = [query.crop, *(query.track[i] for i in chosen)]
    titles = [f"query: {query.record.get('object_title')}"]
    titles += [f"answer, frame {box.frame}" for box in boxes[1:]]
    path = clips_folder(step) / f"{query.clip_uid}.mp4"
    with VideoReader(path, step.config.data.backend) as reader:
        images = [reader[box.frame] for box in boxes]
    return images, titles, [box.xyxy for box in boxes]


__all__ = [
    "Prepared",
    "check",
    "clip_frames",
    "clips_folder",
    "counts",
    "cut",
    "describe",
    "example",
    "images_folder",
    "metrics",
    "prepare",
    "problems",
    "read_list",
    "read_splits",
    "show",
    "sources",
    "table",
]
