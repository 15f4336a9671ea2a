"""NLQ annotations: the official JSON (versions 1 and 2), our JSON lines, checks, statistics.

A *record* is one question: the JSON-lines form that GroundNLQ trains on. Reading and
writing them loses nothing that the network or the metric needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from egolib.errors import EgolibError
from egolib.io.episodic_memory import EpisodicMemoryFile
from egolib.io.episodic_memory import check_queries as check_content
from egolib.io.records import read_json, require, suffix_of, write_text
from egolib.io.schema import read_lines, validated
from egolib.nlq.data.schema import Record

LATE_SEC = 10.0  # after its clip a window of the official files may end
QUERY_TYPES = ("nlq", "narration", "nlq_narration")
_QUERY_ID = re.compile(r".+_\d{1,5}", re.ASCII | re.DOTALL)
# queries and clips of the published files; those of version 1 are hearsay (see check_counts)
COUNTS = {
    ("v2", "train"): (13847, 1270),
    ("v2", "val"): (4552, 415),
    ("v2", "test"): (4004, 333),
    ("v1", "train"): (11296, None),
    ("v1", "val"): (3875, None),
}


@dataclass(frozen=True)
class Query:
    """One question about one clip.

    Args:
        text: as annotated.
        query_id: ``"{annotation_uid}_{index}"``.
        duration_sec: length of the clip.
        clip_uid: the clip.
        windows_sec: true windows, (start, end) in seconds of the clip; None when unknown.
        query_type: ``nlq``, or ``narration`` and ``nlq_narration`` for pre-training.
    """

    text: str
    query_id: str
    duration_sec: float
    clip_uid: str
    windows_sec: tuple[tuple[float, float], ...] | None = None
    query_type: str = "nlq"

    @property
    def annotation_uid(self) -> str:
        """The part of the id before the last underscore."""
        return self.query_id.rpartition("_")[0]

    @property
    def index(self) -> int:
        """The part of the id after the last underscore."""
        return int(self.query_id.rpartition("_")[2])

    def record(self) -> dict[str, Any]:
        """The JSON-lines object, keys in the published order."""
        narrated = self.query_type == "nlq_narration"
        found: dict[str, Any] = {
            "narration_query" if narrated else "query": self.text,
            "query_id": self.query_id,
            "duration": self.duration_sec,
            "video_id": self.clip_uid,
            "query_type": self.query_type,
        }
        if self.windows_sec is not None:
            found["timestamps"] = [list(window) for window in self.windows_sec]
        return found


# ------------------------------------------------------------------- official JSON


def read_official(path: str | Path) -> dict[str, Any]:
    """An official annotation file (train, val, or test without answers)."""
    return check_content(read_json(path, dict), path)


def read_episodic_memory(path: str | Path) -> dict[str, Any]:
    """An annotation file of any benchmark of episodic memory: queries, visual queries, moments."""
    content: dict[str, Any] = validated(EpisodicMemoryFile, read_json(path, dict), file=path)
    return content


def walk_clips(content: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(video, clip) in the file's order."""
    for video in content["videos"]:
        for clip in video["clips"]:
            yield video, clip


def from_official(content: Mapping[str, Any], file: str | Path = "annotations") -> list[Query]:
    """All questions of an official file, in its order.

    Entries whose text is missing, null or empty are skipped, but counted in the ids
    of those after them. Windows are not clipped to the clip.

    Raises:
        EgolibError: a clip or an annotation lacks a field.
    """
    queries = []
    for _, clip in walk_clips(content):
        needed = ["clip_uid", "video_start_sec", "video_end_sec", "annotations"]
        require(clip, needed, file=file, name=f"clip {clip.get('clip_uid')}")
        for annotation in clip["annotations"]:
            require(annotation, ["annotation_uid"], file=file, name=f"clip {clip['clip_uid']}")
            for index, query in enumerate(annotation["language_queries"]):
                if query.get("query"):
                    queries.append(_query(clip, annotation["annotation_uid"], index, query))
    return queries


def without_text(path: str | Path) -> list[str]:
    """The entries of an official JSON file that hold times or other fields, but no text.

    They are passed over, as officially; entries that are empty altogether are skipped questions.
    """
    if suffix_of(path) != ".json":
        return []
    return [
        f"{annotation['annotation_uid']}_{index}: no text, passed over"
        for _, clip in walk_clips(read_official(path))
        for annotation in clip["annotations"]
        for index, query in enumerate(annotation["language_queries"])
        if query and not query.get("query")
    ]


def _query(clip: dict[str, Any], annotation_uid: str, index: int, query: dict[str, Any]) -> Query:
    known = "clip_start_sec" in query and "clip_end_sec" in query
    window = (query["clip_start_sec"], query["clip_end_sec"]) if known else None
    return Query(
        text=query["query"],
        query_id=f"{annotation_uid}_{index}",
        duration_sec=clip["video_end_sec"] - clip["video_start_sec"],
        clip_uid=clip["clip_uid"],
        windows_sec=None if window is None else (window,),
    )


def to_official(queries: Iterable[Query], split: str, version: str = "2.0") -> dict[str, Any]:
    """An official layout for records, for instance to score against JSON lines.

    Records do not say which video a clip comes from, so every clip is a video of its
    own; skipped entries become empty objects, so that the indices stay.

    Args:
        queries: the records.
        split: what the file calls them.
        version: of the layout.
    """
    clips: dict[str, dict[str, list[dict[str, Any]]]] = {}
    durations: dict[str, float] = {}
    for query in queries:
        entries = clips.setdefault(query.clip_uid, {}).setdefault(query.annotation_uid, [])
        entries.extend({} for _ in range(query.index + 1 - len(entries)))
        entries[query.index] = {"query": query.text}
        if query.windows_sec is not None:
            start, end = query.windows_sec[0]
            entries[query.index] |= {"clip_start_sec": start, "clip_end_sec": end}
        durations[query.clip_uid] = query.duration_sec
    videos = [
        {"video_uid": uid, "split": split, "clips": [_clip(uid, durations[uid], annotations)]}
        for uid, annotations in clips.items()
    ]
    return {"version": version, "description": f"NLQ Annotations ({split})", "videos": videos}


def _clip(
    uid: str, duration: float, annotations: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    return {
        "clip_uid": uid,
        "video_start_sec": 0.0,
        "video_end_sec": duration,
        "annotations": [
            {"annotation_uid": name, "language_queries": entries}
            for name, entries in annotations.items()
        ],
    }


# ---------------------------------------------------------------------- JSON lines


def read_queries(path: str | Path) -> list[Query]:
    """All records of a JSON-lines file, or of an official JSON file.

    Official behaviour: the published data set refuses ``nlq_narration``, the type that
    its own converter writes; here every type is read.

    Raises:
        EgolibError: a record lacks a field, has an unknown type or a malformed window;
            the message names its line.
    """
    if suffix_of(path) == ".json":
        return from_official(read_official(path), path)
    records = read_lines(Record, path)
    return [_from_record(r, path, number) for number, r in enumerate(records, start=1)]


def _from_record(record: dict[str, Any], file: str | Path, number: int) -> Query:
    name = f"{number} ({record.get('query_id')})"
    text = "narration_query" if "narration_query" in record else "query"
    require(record, [text, "query_id", "duration", "video_id", "query_type"], file=file, name=name)
    if record["query_type"] not in QUERY_TYPES:
        raise EgolibError(
            f"unknown query type {record['query_type']!r}",
            file=file,
            record=name,
            remedy=f"one of {', '.join(QUERY_TYPES)}",
        )
    if record["query_type"] == "nlq" and not _QUERY_ID.fullmatch(record["query_id"]):
        raise EgolibError(
            f"the query id {record['query_id']!r} does not end with the number of the query",
            file=file,
            record=name,
            remedy='"{annotation_uid}_{index}" is wanted',
        )
    windows = record.get("timestamps")
    return Query(
        text=record[text],
        query_id=record["query_id"],
        duration_sec=record["duration"],
        clip_uid=record["video_id"],
        windows_sec=None if windows is None else tuple((w[0], w[1]) for w in windows),
        query_type=record["query_type"],
    )


def write_queries(path: str | Path, queries: Iterable[Query]) -> Path:
    """Writes records as the official converter does: one a line, ASCII, no last line break."""
    return write_text(path, "\n".join(json.dumps(query.record()) for query in queries))


# ---------------------------------------------------------------- checks, statistics


@dataclass(frozen=True)
class Statistics:
    """What a set of questions looks like; window figures are None without answers."""

    queries: int
    clips: int
    clip_sec: tuple[float, float, float]  # shortest, median, longest
    queries_per_clip: float
    most_words: int
    window_sec: tuple[float, float, float, float] | None  # shortest, median, mean, longest
    windows_past_end: int


def statistics(queries: Sequence[Query]) -> Statistics:
    """Counts, lengths and what stands out.

    Raises:
        EgolibError: there are no questions.
    """
    if not queries:
        raise EgolibError("there are no questions")
    durations = {query.clip_uid: query.duration_sec for query in queries}
    clip_sec = sorted(durations.values())
    windows = [(w, q.duration_sec) for q in queries for w in q.windows_sec or ()]
    lengths = [end - start for (start, end), _ in windows]
    return Statistics(
        queries=len(queries),
        clips=len(durations),
        clip_sec=(clip_sec[0], median(clip_sec), clip_sec[-1]),
        queries_per_clip=len(queries) / len(durations),
        most_words=max(len(query.text.split()) for query in queries),
        window_sec=(min(lengths), median(lengths), mean(lengths), max(lengths))
        if lengths
        else None,
        windows_past_end=sum(end > duration for (_, end), duration in windows),
    )


def check_queries(queries: Iterable[Query], file: str | Path = "annotations") -> list[str]:
    """Warnings about windows that are empty or outside their clip.

    Raises:
        EgolibError: two records have the same id.
    """
    queries = list(queries)
    timed = any(query.windows_sec for query in queries)
    warnings, seen = [], set()
    for query in queries:
        if timed and not query.windows_sec:
            warnings.append(f"{query.query_id}: no times, though other questions have some")
        if query.query_id in seen:
            raise EgolibError("this query id occurs twice", file=file, record=query.query_id)
        seen.add(query.query_id)
        if len(set(query.windows_sec or ())) < len(query.windows_sec or ()):
            warnings.append(f"{query.query_id}: a window stands twice")
        for start, end in query.windows_sec or ():
            if end <= start:
                warnings.append(f"{query.query_id}: the window {start} to {end} is empty")
            elif start >= query.duration_sec or end <= 0:
                warnings.append(f"{query.query_id}: the window {start} to {end} is outside")
            elif start < 0:
                warnings.append(f"{query.query_id}: the window {start} to {end} starts before it")
            elif end > query.duration_sec + LATE_SEC:
                warnings.append(f"{query.query_id}: the window {start} to {end} ends long after it")
    return warnings


def check_counts(queries: Sequence[Query], split: str, version: str = "v2") -> list[str]:
    """Compares the numbers of questions and clips with the published ones.

    Args:
        queries: of the split.
        split: ``train``, ``val`` or ``test``.
        version: ``v1`` or ``v2``. The counts of v1 stem from a discussion, not from the
            files, so a difference there is a warning.

    Returns:
        Warnings.

    Raises:
        EgolibError: a count of version 2 differs.
    """
    if (version, split) not in COUNTS:
        return [f"no published counts for {split} of {version}"]
    expected_queries, expected_clips = COUNTS[version, split]
    found_queries, found_clips = len(queries), len({q.clip_uid for q in queries})
    same_clips = expected_clips in (None, found_clips)
    if found_queries == expected_queries and same_clips:
        return []
    message = (
        f"{split} of {version} holds {found_queries} questions in {found_clips} clips, published: "
        f"{expected_queries} in {expected_clips if expected_clips is not None else 'unknown'}"
    )
    if version == "v2":
        raise EgolibError(message, remedy="the file may be cut, filtered or of another version")
    return [message]
