"""The annotation files of visual queries, and the two lists that are made from them.

A file holds videos, these hold clips, these annotations, and these query sets "1"
to "3". A query set that is not valid may lack every other field; the test file
has no response tracks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.episodic_memory import require_unique_annotations
from egolib.io.records import Skipped, read_json, require, write_json
from egolib.io.schema import validated
from egolib.vq2d.data.schema import QuerySet, VisualQueries

Record = dict[str, Any]
BOX_FIELDS = ("frame_number", "x", "y", "width", "height", "original_width", "original_height")


@dataclass(frozen=True)
class Box:
    """An annotated box.

    Args:
        frame: clip frame, 5 frames a second, from 0.
        x: left edge in pixels of the annotated frame.
        y: upper edge in pixels of the annotated frame.
        width: in pixels of the annotated frame.
        height: in pixels of the annotated frame.
        frame_size: width and height of the annotated frame.
    """

    frame: int
    x: float
    y: float
    width: float
    height: float
    frame_size: tuple[int, int]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Box:
        """A box from its official record."""
        names = ("original_width", "original_height", *BOX_FIELDS)
        require(record, names, file="annotations", name=f"frame {record.get('frame_number')}")
        size = (record["original_width"], record["original_height"])
        sides = (record["width"], record["height"])
        return cls(record["frame_number"], record["x"], record["y"], *sides, size)

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Corners x1, y1, x2, y2."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def aspect_ratio(self) -> float:
        """Width over height."""
        return self.width / (self.height + 1e-10)


@dataclass(frozen=True)
class Query:
    """One valid query set, with what its clip says.

    Args:
        video: record of the video that it stands in.
        clip: record of the clip that it stands in.
        annotation_uid: of the annotation; it names the query together with ``query_set``.
        query_set: ``1``, ``2`` or ``3``.
        record: the query set itself.
    """

    video: Mapping[str, Any]
    clip: Mapping[str, Any]
    annotation_uid: str
    query_set: str
    record: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of the query in results and caches."""
        return f"{self.annotation_uid}_{self.query_set}"

    @property
    def clip_uid(self) -> str | None:
        """Null for some clips of the official files."""
        result: str | None = self.clip["clip_uid"]
        return result

    @property
    def query_frame(self) -> int:
        """Clip frame of the question; the answer lies before it."""
        result: int = self.record["query_frame"]
        return result

    @cached_property
    def crop(self) -> Box:
        """The picture of the object. Its frame usually lies after the query frame."""
        return Box.from_record(self.record["visual_crop"])

    @cached_property
    def track(self) -> tuple[Box, ...]:
        """The answer by ascending frame; empty in the test file."""
        boxes = map(Box.from_record, self.record.get("response_track", ()))
        return tuple(sorted(boxes, key=lambda box: box.frame))


@dataclass(frozen=True)
class Annotations:
    """An annotation file.

    Args:
        content: the file as read.
        file: where it was read from, for messages.
        skipped: query sets that are called valid but cannot be used, and those that do not
            say whether they are valid, with reasons.
    """

    content: Mapping[str, Any]
    file: str | Path
    skipped: Skipped

    @property
    def version(self) -> str:
        """A submission must repeat it. Numbers on 1.0 and 1.0.5 are not comparable."""
        result: str = self.content["version"]
        return result

    @property
    def videos(self) -> list[Record]:
        """The records of the videos."""
        result: list[Record] = self.content["videos"]
        return result

    @cached_property
    def queries(self) -> list[Query]:
        """The valid queries in file order (videos, clips, annotations, query sets)."""
        return [query for query in _walk(self.videos) if self._usable(query)]

    def oddities(self) -> list[str]:
        """What is strange about valid queries, a line each; nothing of it is passed over."""
        found = ((query.key, _strange(query)) for query in self.queries)
        return [f"{key}: {what}" for key, each in found for what in each]

    def by_clip(self) -> dict[str, list[Query]]:
        """The valid queries of each clip that has a uid, in file order."""
        grouped: dict[str, list[Query]] = {}
        for query in self.queries:
            if query.clip_uid is not None:
                grouped.setdefault(query.clip_uid, []).append(query)
        return grouped

    def counts(self) -> dict[str, int]:
        """Distinct videos, clips and annotations with a valid query, and valid queries."""
        queries = self.queries
        return {
            "videos": len({q.video["video_uid"] for q in queries}),
            "clips": len({q.clip_uid for q in queries}),
            "annotations": len({q.annotation_uid for q in queries}),
            "queries": len(queries),
            "malformed": len(self.skipped),
        }

    def _usable(self, query: Query) -> bool:
        valid = query.record.get("is_valid")
        if valid is None and query.record:
            self.skipped.add(query.key, "is_valid is missing: taken for not valid")
        elif valid not in (True, False, None):
            self.skipped.add(query.key, f"is_valid: found {str(valid)[:40]!r}, a boolean is wanted")
        if valid is not True and valid != 1:
            return False
        try:
            validated(QuerySet, query.record, file=self.file)
        except EgolibError as error:
            self.skipped.add(query.key, f"{error.record}: {error.what}")
            return False
        return True


def read_annotations(path: str | Path) -> Annotations:
    """``vq_train.json``, ``vq_val.json`` or ``vq_test_unannotated.json``.

    Malformed query sets do not stop the reader: they are listed in ``skipped``.

    Raises:
        EgolibError: the file is not readable, or a video, clip or annotation lacks a
            field without which its queries cannot be found.
    """
    return from_content(read_json(path, dict), path)


def from_content(content: Mapping[str, Any], file: str | Path = "annotations") -> Annotations:
    """Annotations already in memory, with the checks of ``read_annotations``."""
    validated(VisualQueries, content, file=file)
    require_unique_annotations(content, file)
    return Annotations(content, file, Skipped())


def _walk(videos: list[Record]) -> Iterator[Query]:
    """All query sets."""
    for video in videos:
        for clip in video["clips"]:
            for annotation in clip["annotations"]:
                for name, record in annotation["query_sets"].items():
                    yield Query(video, clip, annotation["annotation_uid"], name, record)


def _strange(query: Query) -> Iterator[str]:
    """Sentences about the boxes and frames of a query."""
    boxes = [("visual_crop", query.record["visual_crop"])]
    track = query.record.get("response_track", ())
    boxes += [(f"response_track[{n}]", box) for n, box in enumerate(track)]
    for name, box in boxes:
        width, height = box.get("original_width"), box.get("original_height")
        if not box["width"] * box["height"]:
            yield f"{name} has no area"
        elif width is None or height is None:
            yield f"{name} does not say the size of its frame"
        elif _is_outside(box, width, height):
            yield f"{name} lies outside its frame of {width:g}x{height:g} pixels"
    if len({(b.get("original_width"), b.get("original_height")) for _, b in boxes}) > 1:
        yield "its boxes refer to frames of several sizes"
    numbers = [box["frame_number"] for box in track]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield "the frames of response_track are not in order, repeated, or have gaps"
    if numbers and max(numbers) >= query.query_frame:
        yield f"response_track goes up to frame {max(numbers)}, query_frame is {query.query_frame}"


def _is_outside(box: Mapping[str, Any], width: float, height: float) -> bool:
    """Whether no part of a box lies in a frame of that size."""
    ends = box["x"] + box["width"], box["y"] + box["height"]
    gone: bool = ends[0] <= 0 or ends[1] <= 0 or box["x"] >= width or box["y"] >= height
    return gone


# ---------------------------------------------------------------------- the lists


def processed(annotations: Annotations) -> list[Record]:
    """The flat list of valid queries that training reads (``{split}_annot.json.gz``)."""
    return [
        {
            "metadata": _metadata(query),
            "clip_uid": query.clip_uid,
            "query_set": query.query_set,
            "query_frame": query.query_frame,
            "response_track": query.record.get("response_track", []),
            "visual_crop": query.record["visual_crop"],
            "object_title": query.record.get("object_title"),
            "dataset_uid": f"{query.video['split']}_{counter:010d}",
        }
        for counter, query in enumerate(annotations.queries)
    ]


def write_processed(annotations: Annotations, folder: str | Path, split: str) -> Path:
    """Writes ``{split}_annot.json.gz`` and returns its path.

    Args:
        annotations: of one split.
        folder: where the list goes.
        split: ``train`` or ``val``.
    """
    return write_json(Path(folder) / f"{split}_annot.json.gz", processed(annotations))


def grouped_by_clip(annotations: Annotations) -> dict[str, list[Record]]:
    """The official lists for inference: clip uid -> valid queries."""
    return {
        clip_uid: [_clip_item(query) for query in queries]
        for clip_uid, queries in annotations.by_clip().items()
    }


def _clip_item(query: Query) -> Record:
    names = ("query_frame", "visual_crop", "response_track")
    return {
        "metadata": _metadata(query)
        | {"query_set": query.query_set, "annotation_uid": query.annotation_uid},
        "clip_uid": query.clip_uid,
        **{name: query.record[name] for name in names if name in query.record},
    }


def _metadata(query: Query) -> Record:
    names = ("video_start_sec", "video_end_sec", "clip_fps")
    return {
        "video_uid": query.video["video_uid"],
        **{name: query.clip[name] for name in names},
    }


# -------------------------------------------------------------------- the data root


def find_annotations(root: str | Path, split: str) -> Path:
    """The annotation file of a split below a data root, or directly in the folder.

    Args:
        root: data root, or the folder of the files.
        split: ``train``, ``val`` or ``test``.

    Raises:
        EgolibError: it is in neither place.
    """
    name = "vq_test_unannotated.json" if split == "test" else f"vq_{split}.json"
    places = [Path(root) / name, Path(root) / "ego4d" / "v2" / "annotations" / name]
    for place in places:
        if place.is_file():
            return place
    raise EgolibError(
        f"no {name}",
        file=root,
        remedy=f"expected {places[0]} or {places[1]}; see the page on data for how to get it",
    )
