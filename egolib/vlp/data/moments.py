"""The clips of the Ego4D moments annotations, which EgoMQ features are extracted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from egolib.io.episodic_memory import EpisodicMemoryFile, check_queries
from egolib.io.records import read_json
from egolib.io.schema import validated

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

    Clips without a uid, which the official files of visual queries know, have no features.

    Raises:
        EgolibError: a malformed file or a missing field.
    """
    clips: dict[str, MomentClip] = {}
    for path in paths:
        content = validated(EpisodicMemoryFile, read_json(path, dict), file=path)
        for video in content["videos"]:
            for clip in video["clips"]:
                times = clip["video_start_sec"], clip["video_end_sec"]
                if uid := clip["clip_uid"]:
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
        content = check_queries(read_json(path, dict), path)
        annotations = (a for v in content["videos"] for c in v["clips"] for a in c["annotations"])
        for annotation in annotations:
            for index, query in enumerate(annotation["language_queries"]):
                if text := query.get("query"):
                    found[f"{annotation['annotation_uid']}_{index}"] = text
    return found
