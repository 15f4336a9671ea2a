"""Moments annotations: the official files, and the list of clips that the task works on.

Two kinds of files hold clips: ``clip_annotations.json``, which the official converters
write (see ``egolib.mq.data.conversion``), and the per-clip files of challenge entries,
whose moments are ``{"segment": [start, end], "label": ...}``.

Errors name the file and the record by its path, for instance
``videos[3].clips[0].annotations[1].labels[2].start_time``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from egolib.errors import EgolibError
from egolib.io.episodic_memory import MomentFile
from egolib.io.records import read_json
from egolib.io.schema import validated
from egolib.mq.data.schema import ClipFile

FILES = {
    "train": "moments_train.json",
    "val": "moments_val.json",
    "test": "moments_test_unannotated.json",
}
"""Official annotation file of each split."""

LATE_SEC = 10.0  # after its clip a moment of the official files may end


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
    clips = validated(ClipFile, content, file=file)
    return [_clip(uid, record) for uid, record in clips.items()]


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
    for video, clip in walk_official(validated(MomentFile, content, file=file)):
        record = clip.record
        labels = [label.record for label in labels_of(clip)]
        moments = tuple(_moment(label) for label in labels if label["primary"])
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


def _clip(uid: str, record: Mapping[str, Any]) -> Clip:
    return Clip(
        clip_uid=uid,
        video_uid=record["video_id"],
        subset=record["subset"],
        start_sec=record["parent_start_sec"],
        end_sec=record["parent_end_sec"],
        moments=tuple(map(_moment, record["annotations"])),
        fps=record.get("fps"),
        record=uid,
    )


def _moment(record: Mapping[str, Any]) -> Moment:
    if "segment" in record:
        return Moment(record["label"], *record["segment"])
    return Moment(record["label"], record["start_time"], record["end_time"])


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


def moment_oddities(clips: Iterable[Clip]) -> list[str]:
    """Warnings about true moments that no prediction can meet, and repeated ones."""
    found = []
    for clip in clips:
        seen = set()
        for number, moment in enumerate(clip.moments):
            key = moment.label, moment.start_sec, moment.end_sec
            repeated = key in seen
            seen.add(key)
            if moment.end_sec < moment.start_sec:
                what = "ends before it starts"
            elif moment.start_sec >= clip.duration_sec or moment.end_sec <= 0:
                what = f"lies outside the clip, which has {clip.duration_sec:.1f} s"
            elif moment.end_sec > clip.duration_sec + LATE_SEC:
                what = f"ends long after the clip, which has {clip.duration_sec:.1f} s"
            elif moment.start_sec < 0:
                what = "starts before the clip"
            elif repeated:
                what = "stands there already, with equal times"
            else:
                continue
            found.append(f"{clip.clip_uid}, moment {number} ({moment.label}): it {what}")
    return found


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


class Placed(NamedTuple):
    """A checked record, and where it stands in its file."""

    record: dict[str, Any]
    path: str

    def items(self, name: str) -> list[Placed]:
        """The records of a list; none where it is absent or null."""
        found = self.record.get(name) or []
        return [Placed(entry, f"{self.path}.{name}[{n}]") for n, entry in enumerate(found)]


def read_official(path: str | Path) -> dict[str, Any]:
    """One of the official files, checked against its schema.

    Raises:
        EgolibError: a video, clip, annotation or label lacks a field, or one is of another
            type, or a time is not finite, or a clip stops before it starts.
    """
    content: dict[str, Any] = validated(MomentFile, read_json(path, dict), file=path)
    return content


def walk_official(content: Mapping[str, Any]) -> Iterator[tuple[Placed, Placed]]:
    """(video, clip) in the order of a checked official file."""
    for number, video in enumerate(content["videos"]):
        place = Placed(video, f"videos[{number}]")
        for clip in place.items("clips"):
            yield place, clip


def labels_of(clip: Placed) -> Iterator[Placed]:
    """All labels of an official clip; those of the test files have none."""
    for annotation in clip.items("annotations"):
        yield from annotation.items("labels")
