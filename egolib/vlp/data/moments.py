"""The clips of the Ego4D moments annotations, which EgoMQ features are extracted for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from egolib.io.records import read_json, require

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
        content = read_json(path, dict)
        require(content, ("videos",), file=path, name="top level")
        for video in content["videos"]:
            require(video, ("video_uid", "clips"), file=path, name=video.get("video_uid"))
            for clip in video["clips"]:
                fields = ("clip_uid", "video_start_sec", "video_end_sec")
                require(clip, fields, file=path, name=clip.get("clip_uid", video["video_uid"]))
                uid, *times = (clip[field] for field in fields)
                clips.setdefault(uid, MomentClip(uid, video["video_uid"], *map(float, times)))
    return list(clips.values())


def read_query_texts(paths: Iterable[str | Path]) -> dict[str, str]:
    """The questions of NLQ annotation files by query id, ``"{annotation_uid}_{index}"``.

    Questions without text are passed over, as nlq does.

    Raises:
        EgolibError: a malformed file or a missing field.
    """
    found: dict[str, str] = {}
    for path in paths:
        for video in read_json(path, dict)["videos"]:
            for clip in video["clips"]:
                for annotation in clip["annotations"]:
                    require(annotation, ("annotation_uid",), file=path, name=clip["clip_uid"])
                    for index, query in enumerate(annotation.get("language_queries", ())):
                        if text := query.get("query"):
                            found[f"{annotation['annotation_uid']}_{index}"] = text
    return found
