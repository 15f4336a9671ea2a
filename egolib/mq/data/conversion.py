"""From the official annotation files to ``clip_annotations.json`` (section 2).

Both official converters are covered: EgoVLPv2's, which looks for the features of a video's
first clip, and Ego4D's, which looks for those of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError, nearest
from egolib.io.records import Skipped, read_json
from egolib.io.schema import validated
from egolib.mq.config import DataConfig
from egolib.mq.data.annotations import Placed, labels_of, read_official, walk_official
from egolib.mq.data.schema import VideoTable

Rows = Callable[[str], int]
"""Number of feature rows of a clip or video; EgolibError where there are none."""

UNLABELLED_KEPT = ("test",)


@dataclass
class Conversion:
    """The converted file, and what did not get into it.

    Args:
        clips: the content of ``clip_annotations.json``, in order of first appearance.
        skipped: videos without features, with reasons.
        skipped_clips: clips of these videos.
        unlabelled: clips of train and val that were removed for want of a label.
    """

    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)
    skipped_clips: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Numbers for ``result.json``."""
        subsets = [clip["subset"] for clip in self.clips.values()]
        return {
            **{f"{subset}_clips": subsets.count(subset) for subset in dict.fromkeys(subsets)},
            "moments": sum(len(clip["annotations"]) for clip in self.clips.values()),
            "videos_without_features": len(self.skipped),
            "clips_without_features": len(self.skipped_clips),
            "clips_without_labels": len(self.unlabelled),
        }


def read_durations(path: str | Path) -> dict[str, float]:
    """Seconds of every video of ``ego4d.json``."""
    table = validated(VideoTable, read_json(path, dict), file=path)
    found: dict[str, float] = {}
    for place, video in enumerate(table["videos"]):
        uid, duration = video["video_uid"], video["duration_sec"]
        if found.setdefault(uid, duration) != duration:
            raise EgolibError(
                f"video {uid} has two durations", file=path, record=f"videos[{place}].duration_sec"
            )
    return found


def convert(
    files: Sequence[str | Path],
    durations_sec: Mapping[str, float],
    rows: Rows,
    config: DataConfig,
) -> Conversion:
    """The clips of the official files, with their primary labels unchanged.

    Official behaviour: a video whose features cannot be loaded is skipped as a whole, from
    the truth as well; the file's ``fps`` divides those features by the duration of the
    whole video, which is meaningless where they belong to one clip (the data set does not
    use it there).

    Args:
        files: ``moments_train.json``, ``moments_val.json``, ``moments_test_unannotated.json``.
        durations_sec: of every video, see ``read_durations``.
        rows: feature rows by clip uid (layout ``egovlpv2``) or video uid (``ego4d``).
        config: layout, and what happens to missing features and to clips listed twice.

    Raises:
        EgolibError: a malformed file, a video without duration, or missing features where
            ``config.missing_features`` is ``error``.
    """
    found = Conversion()
    for file in files:
        videos: dict[str, list[Placed]] = {}
        holders: dict[str, Placed] = {}
        for video, clip in walk_official(read_official(file)):
            videos.setdefault(video.path, []).append(clip)
            holders[video.path] = video
        for path, clips in videos.items():
            _add_video(found, holders[path], clips, durations_sec, rows, config, file)
    found.unlabelled = [
        uid
        for uid, clip in found.clips.items()
        if clip["subset"] not in UNLABELLED_KEPT and not clip["annotations"]
    ]
    for uid in found.unlabelled:
        del found.clips[uid]
    return found


def _add_video(
    found: Conversion,
    video: Placed,
    clips: list[Placed],
    durations_sec: Mapping[str, float],
    rows: Rows,
    config: DataConfig,
    file: str | Path,
) -> None:
    uid, split = video.record["video_uid"], video.record["split"]
    if uid not in durations_sec:
        raise EgolibError(
            f"video {uid} has no duration in the table of videos",
            file=file,
            record=video.path,
            remedy=nearest(uid, durations_sec),
        )
    key = uid if config.layout == "ego4d" else clips[0].record["clip_uid"]
    try:
        count = rows(key)
    except EgolibError as error:
        if config.missing_features == "error":
            raise
        found.skipped.add(uid, error)
        found.skipped_clips += [clip.record["clip_uid"] for clip in clips]
        return
    known = set(found.clips)
    for clip in clips:
        entry = found.clips.setdefault(
            clip.record["clip_uid"], _entry(uid, split, clip.record, durations_sec[uid], count)
        )
        if split != "test":
            again = config.duplicate_clips == "merge_unique" and entry["clip_id"] in known
            _add_labels(entry["annotations"], clip, unique=again)


def _entry(
    video_uid: str, split: str, clip: Mapping[str, Any], duration_sec: float, rows: int
) -> dict[str, Any]:
    return {
        "video_id": video_uid,
        "clip_id": clip["clip_uid"],
        "parent_start_sec": clip["video_start_sec"],
        "parent_end_sec": clip["video_end_sec"],
        "v_duration": duration_sec,
        "fps": rows / duration_sec,
        "annotations": [],
        "subset": split,
    }


def _add_labels(labels: list[dict[str, Any]], clip: Placed, *, unique: bool) -> None:
    """Primary labels of all annotators; with ``unique`` those that are not there yet."""
    present = list(labels) if unique else []
    labels += [
        label.record
        for label in labels_of(clip)
        if label.record["primary"] and label.record not in present
    ]
