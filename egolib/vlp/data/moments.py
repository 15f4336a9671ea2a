"""The clips of the Ego4D moments annotations, which EgoMQ features are extracted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from egolib.io.records import read_json
from egolib.io.schema import require_interval, validated
from egolib.vlp.data.schema import MomentFile, QueryFile

ANNOTATIONS = Path("ego4d/v2/annotations")
VIDEOS = Path("ego4d/Ego4D_256")
FILES = ("moments_train.json", "moments_val.json", "moments_test_unannotated.json")


@dataclass(frozen=True)
class MomentClip:
    """A stretch of a video.

    Args:
        clip_uid: name of the stretch, and of its features.
        video_uid: the video.
        start_sec: in the video.
        end_sec: in the video.
    """

    clip_uid: str
    video_uid: str
    start_sec: float
    end_sec: float


def read_moment_clips(paths: Iterable[str | Path]) -> list[MomentClip]:
    """The clips of some annotation files, each once, in the order of the files.

    Raises:
        EgolibError: a malformed file or a missing field.
    """
    clips: dict[str, MomentClip] = {}
    for path in paths:
        content = validated(MomentFile, read_json(path, dict), file=path)
        for place, video in enumerate(content["videos"]):
            for number, clip in enumerate(video["clips"]):
                uid = clip["clip_uid"]
                times = require_interval(
                    clip["video_start_sec"],
                    clip["video_end_sec"],
                    f"videos[{place}].clips[{number}]",
                    file=path,
                )
                clips.setdefault(uid, MomentClip(uid, video["video_uid"], *times))
    return list(clips.values())


def read_query_texts(paths: Iterable[str | Path]) -> dict[str, str]:
    """The questions of NLQ annotation files by query id, ``"{annotation_uid}_{index}"``.

    Questions without text are passed over, as nlq does.

    Raises:
        EgolibError: a malformed file or a missing field.
    """
    found: dict[str, str] = {}
    for path in paths:
        content = validated(QueryFile, read_json(path, dict), file=path)
        annotations = (a for v in content["videos"] for c in v["clips"] for a in c["annotations"])
        for annotation in annotations:
            for index, query in enumerate(annotation.get("language_queries", ())):
                if text := query.get("query"):
                    found[f"{annotation['annotation_uid']}_{index}"] = text
    return found
