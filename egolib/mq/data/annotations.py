"""Moments annotations: the official files, and the list of clips that the task works on.

Two kinds of files hold clips: ``clip_annotations.json``, which the official converters
write (see ``egolib.mq.data.conversion``), and the per-clip files of challenge entries,
whose moments are ``{"segment": [start, end], "label": ...}``.

Errors name the file and the record by its path, for instance
``videos[3].clips[0].annotations[1].labels[2].start_time``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError, nearest
from egolib.io.records import read_json

FILES = {
    "train": "moments_train.json",
    "val": "moments_val.json",
    "test": "moments_test_unannotated.json",
}
"""Official annotation file of each split."""

KINDS: dict[type, str] = {
    str: "a text",
    float: "a finite number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Moment:
    """One occurrence of a class.

    Args:
        label: name of the class.
        start_sec: from the start of the clip.
        end_sec: the same; annotations reach past the clip's end now and then.
    """

    label: str
    start_sec: float
    end_sec: float


@dataclass(frozen=True)
class Clip:
    """A stretch of a video in which moments are looked for.

    Args:
        clip_uid: name of the clip.
        video_uid: the video.
        subset: ``train``, ``val`` or ``test``.
        start_sec: start of the clip in the video.
        end_sec: its end in the video.
        moments: in file order, all annotators together; empty where unknown.
        fps: features a second, as the file says.
        record: where the clip stands in its file.
    """

    clip_uid: str
    video_uid: str
    subset: str
    start_sec: float
    end_sec: float
    moments: tuple[Moment, ...] = ()
    fps: float | None = None
    record: str = ""

    @property
    def duration_sec(self) -> float:
        """Length of the clip."""
        return self.end_sec - self.start_sec

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the clip, each once, in order of first appearance."""
        return tuple(dict.fromkeys(moment.label for moment in self.moments))


# ------------------------------------------------------------------------ clip files


def read_clips(path: str | Path) -> list[Clip]:
    """All clips of a ``clip_annotations.json``, or of a challenge entry's per-clip file.

    Raises:
        EgolibError: a clip or a moment lacks a field, or one is of another type.
    """
    content = read_json(path, dict)
    return clips_of(content, path)


def clips_of(content: Mapping[str, Any], file: str | Path = "annotations") -> list[Clip]:
    """The clips of such a file's content, in its order.

    Args:
        content: clip uid -> clip.
        file: named in errors.
    """
    return [_clip(uid, record, file) for uid, record in content.items()]


def read_annotations(path: str | Path, subset: str | None = None) -> list[Clip]:
    """The clips of an official file, or of a ``clip_annotations.json``; told by its content.

    Args:
        path: the file.
        subset: only the clips of this subset; None for all.

    Raises:
        EgolibError: a malformed file, or no clip of the subset.
    """
    content = read_json(path, dict)
    clips = official_clips(content, path) if "videos" in content else clips_of(content, path)
    chosen = clips if subset is None else select(clips, subset)
    if not chosen:
        known = sorted({clip.subset for clip in clips})
        raise EgolibError(
            f"no clip{'' if subset is None else f' of {subset!r}'}",
            file=path,
            remedy=f"its subsets: {', '.join(known)}" if known else None,
        )
    return chosen


def official_clips(content: Mapping[str, Any], file: str | Path) -> list[Clip]:
    """The clips of an official file's content, with their primary labels.

    A clip that stands in two video objects keeps its first times and the labels of both, as
    the official conversion has it.

    Args:
        content: of the file.
        file: named in errors.
    """
    clips: dict[str, Clip] = {}
    for video, clip in walk_official(content, file):
        record = clip.record
        moments = tuple(_moment(label) for label in labels_of(clip) if label.record["primary"])
        known = clips.get(record["clip_uid"])
        if known is not None:
            clips[known.clip_uid] = replace(known, moments=known.moments + moments)
            continue
        clips[record["clip_uid"]] = Clip(
            clip_uid=record["clip_uid"],
            video_uid=video.record["video_uid"],
            subset=video.record["split"],
            start_sec=record["video_start_sec"],
            end_sec=record["video_end_sec"],
            moments=moments,
            record=clip.path,
        )
    return list(clips.values())


def select(clips: Iterable[Clip], subset: str) -> list[Clip]:
    """Clips of a subset.

    Official behaviour: a clip's subset need only be contained in the name, so that
    ``validation`` means ``val``.
    """
    return [clip for clip in clips if clip.subset in subset]


def _clip(uid: str, record: Any, file: str | Path) -> Clip:
    found = Field(record, file, uid)
    start, end = found.get("parent_start_sec", float), found.get("parent_end_sec", float)
    if end <= start:
        raise found.error("parent_end_sec", f"a time after the clip's start, {start:g} s,", end)
    return Clip(
        clip_uid=uid,
        video_uid=found.get("video_id", str),
        subset=found.get("subset", str),
        start_sec=start,
        end_sec=end,
        moments=tuple(_moment(moment) for moment in found.items("annotations")),
        fps=found.get("fps", float) if "fps" in record else None,
        record=uid,
    )


def _moment(found: Field) -> Moment:
    label = found.get("label", str)
    if "segment" not in found.record:
        return Moment(label, found.get("start_time", float), found.get("end_time", float))
    segment = found.get("segment", list)
    if len(segment) != 2 or not all(_is(value, float) for value in segment):
        raise found.error("segment", "[start, end] in seconds", segment)
    return Moment(label, *map(float, segment))


def without_duplicates(clip: Clip, tolerance_sec: float = 1e-3) -> Clip:
    """The clip with moments of one class and equal times once, and none without length.

    The annotations of ActionFormer and its evaluator are cleaned so; the official ones
    keep all.

    Args:
        clip: to clean.
        tolerance_sec: times that differ by no more are equal.
    """
    kept: list[Moment] = []
    for moment in clip.moments:
        known = any(
            moment.label == other.label
            and abs(moment.start_sec - other.start_sec) <= tolerance_sec
            and abs(moment.end_sec - other.end_sec) <= tolerance_sec
            for other in kept
        )
        if not known and moment.end_sec - moment.start_sec >= tolerance_sec:
            kept.append(moment)
    return replace(clip, moments=tuple(kept))


def require_ordered(clips: Sequence[Clip], file: str | Path | None = None) -> None:
    """Refuses moments that end before they start, which no loss can learn.

    Args:
        clips: those to train on.
        file: named in the error.

    Raises:
        EgolibError: the first such moment, by its record.
    """
    for clip in clips:
        for number, moment in enumerate(clip.moments):
            if moment.end_sec < moment.start_sec:
                raise EgolibError(
                    f"the moment {moment.label!r} ends at {moment.end_sec:g} s before it starts "
                    f"at {moment.start_sec:g} s",
                    file=file,
                    record=f"{clip.record}.annotations[{number}]",
                    remedy="swap its times, or remove it",
                )


# -------------------------------------------------------------------- official files


def read_official(path: str | Path) -> dict[str, Any]:
    """One of the official files, its structure checked.

    Raises:
        EgolibError: a video, clip, annotation or label lacks a field, or one is of another
            type, or a time is not finite.
    """
    content: dict[str, Any] = read_json(path, dict)
    for _ in walk_official(content, path):
        pass
    return content


def walk_official(content: Any, file: str | Path) -> Iterator[tuple[Field, Field]]:
    """(video, clip) in the file's order, both checked to their last label.

    Args:
        content: of an official file.
        file: named in errors.
    """
    for video in Field(content, file, "").items("videos"):
        video.get("video_uid", str)
        video.get("split", str)
        for clip in video.items("clips"):
            clip.get("clip_uid", str)
            clip.get("video_start_sec", float)
            clip.get("video_end_sec", float)
            start, end = (clip.record[f"video_{name}_sec"] for name in ("start", "end"))
            if end <= start:
                raise clip.error(
                    "video_end_sec", f"a time after the clip's start, {start:g} s,", end
                )
            for label in labels_of(clip):
                label.get("label", str)
                label.get("start_time", float)
                label.get("end_time", float)
                label.get("primary", bool)
            yield video, clip


def labels_of(clip: Field) -> Iterator[Field]:
    """All labels of an official clip; those of the test files have none."""
    if clip.record.get("annotations") is not None:
        for annotation in clip.items("annotations"):
            yield from annotation.items("labels")


@dataclass(frozen=True)
class Field:
    """A record of a foreign file that knows where it stands.

    Args:
        record: the JSON object.
        file: where it was read.
        path: of the record inside the file.

    Raises:
        EgolibError: it is no object.
    """

    record: Any
    file: str | Path
    path: str

    def __post_init__(self) -> None:
        if not isinstance(self.record, dict):
            kind = type(self.record).__name__
            raise EgolibError(f"a {kind} instead of an object", file=self.file, record=self.path)

    def get(self, name: str, kind: type) -> Any:
        """The value of a field, of one of ``KINDS``."""
        if name not in self.record:
            raise EgolibError(
                f"field {name!r} is missing",
                file=self.file,
                record=self.path or "top level",
                remedy=nearest(name, self.record),
            )
        value = self.record[name]
        if not _is(value, kind):
            raise self.error(name, KINDS[kind], value)
        return float(value) if kind is float else value

    def items(self, name: str) -> list[Field]:
        """The objects of a list."""
        at = f"{self.path}.{name}".lstrip(".")
        return [
            Field(entry, self.file, f"{at}[{number}]")
            for number, entry in enumerate(self.get(name, list))
        ]

    def error(self, name: str, wanted: str, found: Any) -> EgolibError:
        """What to raise about a field.

        Args:
            name: of the field.
            wanted: what it should be, in words.
            found: its value.
        """
        shown = repr(found)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        at = f"{self.path}.{name}".lstrip(".")
        return EgolibError(f"{wanted} was expected, found {shown}", file=self.file, record=at)


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return isinstance(value, kind) and (kind is not str or bool(value))
