"""What several formats share: the Ego4D file head and clip fields."""

from __future__ import annotations

from typing import Any

from egolib.world.library import Video, World
from egolib.world.streams import uid

VERSION, DATE = "1.0.5", "20240101"
NLQ_VERSION = "2.0"


def head(version: str, description: str) -> dict[str, Any]:
    """The first fields of an Ego4D annotation file."""
    return {
        "version": version,
        "date": DATE,
        "description": f"{description} (egolib built-in world)",
        "metadata": "built-in",
    }


def clip_fields(video: Video, kind: str, first: int, last: int, clip_fps: int) -> dict[str, Any]:
    """A clip over video frames ``first`` to ``last`` (both inclusive).

    The times are those of its first and last frames.

    Args:
        video: what the clip is cut from.
        kind: which data set it is for.
        first: first video frame.
        last: last video frame, inclusive.
        clip_fps: of the clip.
    """
    fps = video.settings.fps
    skip = fps // clip_fps
    return {
        "clip_uid": uid(*video.episode.key, kind, first),
        "video_start_sec": first / fps,
        "video_end_sec": last / fps,
        "video_start_frame": first,
        "video_end_frame": last,
        "clip_start_sec": 0,
        "clip_end_sec": (last - first) / fps,
        "clip_start_frame": 0,
        "clip_end_frame": (last - first) // skip,
        "source_clip_uid": uid(*video.episode.key, kind, first, "source"),
    }


def whole_clip(video: Video) -> dict[str, Any]:
    """The clip over the whole video that NLQ and moments share."""
    fields = clip_fields(video, "nlq", 0, video.settings.frames - 1, video.settings.fps)
    end = float(video.settings.video_sec)
    return fields | {"video_end_sec": end, "clip_end_sec": end}


def annotation_path(world: World, name: str) -> Any:
    """Where an Ego4D annotation file goes."""
    return world.path("ego4d", "v2", "annotations", name)
