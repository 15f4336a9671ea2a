"""Moments (EgoMQ): labelled segments of the whole-video clips.

As in the real files, not every clip is in order: of the training videos the first has a second
annotator, who is less exact and calls some labels not primary, a label of the second reaches past
the end of its clip, and another one has no label, so that the conversion removes it. Clips of the
test file have no key ``annotations``.
"""

from __future__ import annotations

from typing import Any

from egolib.io.records import write_json
from egolib.world.exports.common import NLQ_VERSION, annotation_path, head, whole_clip
from egolib.world.library import Video, World
from egolib.world.settings import SPLITS
from egolib.world.streams import stream, uid

JITTER_SEC = 0.4  # of the second annotator
SECONDARY = 3  # every so many of his labels is not primary
BEYOND_SEC = 1.5  # of the label that reaches past the end

Annotations = list[dict[str, Any]]  #: of one clip, one record an annotator

FILES = {
    "train": "moments_train.json",
    "val": "moments_val.json",
    "test": "moments_test_unannotated.json",
}


def export(world: World) -> None:
    """Writes the three files, the table of videos, and the test labels beside the truth."""
    for split in SPLITS:
        videos = world.of(split)
        labels = annotate_training(world) if split == "train" else [annotate(v) for v in videos]
        if split == "test":
            full = _content(split, videos, labels)
            write_json(world.path("truth", "moments_test.json"), full)
            labels = []
        write_json(annotation_path(world, FILES[split]), _content(split, videos, labels))
    rows = [
        {"video_uid": video.uid, "duration_sec": float(video.settings.video_sec)}
        for video in world.videos
    ]
    write_json(world.path("ego4d", "ego4d.json"), {"videos": rows})


def _content(split: str, videos: list[Video], said: list[Annotations]) -> dict[str, Any]:
    """An official file.

    Args:
        split: its name.
        videos: one clip each.
        said: annotations of each; none at all leaves the key out.
    """
    clips = [whole_clip(video) for video in videos]
    if said:
        pairs = zip(clips, said, strict=True)
        clips = [clip | {"annotations": found} for clip, found in pairs]
    records = [
        {"video_uid": video.uid, "split": split, "clips": [clip]}
        for video, clip in zip(videos, clips, strict=True)
    ]
    return head(NLQ_VERSION, f"Moments annotations ({split})") | {"videos": records}


def annotate(video: Video) -> Annotations:
    """One annotator, who labels every event."""
    return [{"annotator_uid": uid(*video.episode.key, "moments"), "labels": _labels(video)}]


def annotate_training(world: World) -> list[Annotations]:
    """Those of the training videos, with what is not in order."""
    videos = world.of("train")
    found = [annotate(video) for video in videos]
    if videos and found[0][0]["labels"]:
        found[0].append(_second(videos[0], found[0][0]["labels"]))
    if len(videos) > 1 and (labels := found[1][0]["labels"]):
        end = videos[1].settings.video_sec + BEYOND_SEC
        labels[-1] |= _times(videos[1], labels[-1]["start_time"], end)
    if (place := _dispensable(videos, world.of("val"))) is not None:
        found[place][0]["labels"] = []
    return found


def _dispensable(train: list[Video], val: list[Video]) -> int | None:
    """The last training video without which no class of validation is lost."""
    wanted = _classes(val) & _classes(train)
    for place in range(len(train) - 1, 1, -1):
        if wanted <= _classes(train[:place] + train[place + 1 :]):
            return place
    return None


def _classes(videos: list[Video]) -> set[str]:
    return {event.verb for video in videos for event in video.episode.events}


def _labels(video: Video) -> Annotations:
    """One for each event, all of them primary."""
    return [
        _times(video, video.episode.sec(event.start), video.episode.sec(event.end))
        | {"label": event.verb.replace("-", "_"), "primary": True}
        for event in video.episode.events
    ]


def _times(video: Video, start: float, end: float) -> dict[str, Any]:
    first, last = round(start * video.settings.fps), round(end * video.settings.fps)
    return {
        "start_time": start,
        "end_time": end,
        "start_frame": first,
        "end_frame": last,
        "video_start_time": start,
        "video_end_time": end,
        "video_start_frame": first,
        "video_end_frame": last,
    }


def _second(video: Video, labels: Annotations) -> dict[str, Any]:
    """A second annotator, who saw the same and is less exact."""
    key = (*video.episode.key, "moments", "second")
    rng, found = stream(*key), []
    for number, label in enumerate(labels):
        shift = rng.uniform(-JITTER_SEC, JITTER_SEC, 2)
        start = max(0.0, label["start_time"] + float(shift[0]))
        end = min(float(video.settings.video_sec), label["end_time"] + float(shift[1]))
        if end > start:
            primary = (number + 1) % SECONDARY > 0
            found.append(label | _times(video, start, end) | {"primary": primary})
    return {"annotator_uid": uid(*key), "labels": found}
