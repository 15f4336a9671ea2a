"""Moments (EgoMQ): labelled segments of the whole-video clips."""

from __future__ import annotations

from typing import Any

from egolib.io.records import write_json
from egolib.world.exports.common import NLQ_VERSION, annotation_path, head, whole_clip
from egolib.world.library import Video, World
from egolib.world.settings import SPLITS
from egolib.world.streams import uid

FILES = {
    "train": "moments_train.json",
    "val": "moments_val.json",
    "test": "moments_test_unannotated.json",
}


def export(world: World) -> None:
    """Writes the three files, the table of videos, and the test labels beside the truth."""
    for split in SPLITS:
        videos = world.of(split)
        full = _content(split, videos, labelled=True)
        if split == "test":
            write_json(world.path("truth", "moments_test.json"), full)
            full = _content(split, videos, labelled=False)
        write_json(annotation_path(world, FILES[split]), full)
    rows = [
        {"video_uid": video.uid, "duration_sec": float(video.settings.video_sec)}
        for video in world.videos
    ]
    write_json(world.path("ego4d", "ego4d.json"), {"videos": rows})


def _content(split: str, videos: list[Video], labelled: bool) -> dict[str, Any]:
    records = [
        {
            "video_uid": video.uid,
            "split": split,
            "clips": [whole_clip(video) | {"annotations": _annotations(video) if labelled else []}],
        }
        for video in videos
    ]
    return head(NLQ_VERSION, f"Moments annotations ({split})") | {"videos": records}


def _annotations(video: Video) -> list[dict[str, Any]]:
    labels = []
    for event in video.episode.events:
        start, end = video.episode.sec(event.start), video.episode.sec(event.end)
        labels.append(
            {
                "start_time": start,
                "end_time": end,
                "start_frame": event.start,
                "end_frame": event.end,
                "video_start_time": start,
                "video_end_time": end,
                "video_start_frame": event.start,
                "video_end_frame": event.end,
                "label": event.verb.replace("-", "_"),
                "primary": True,
            }
        )
    return [{"annotator_uid": uid(*video.episode.key, "moments"), "labels": labels}]
