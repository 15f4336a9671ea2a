"""VQ2D: where was this object last seen?

The answer is the last contiguous visible run before the query frame; the crop is
from another visit of the object. A distractor of the same class shows up in the
searched part of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from egolib.io.records import write_json
from egolib.world.catalog import CLASSES
from egolib.world.degrade import runs
from egolib.world.exports.common import VERSION, annotation_path, clip_fields, head
from egolib.world.library import Video, World, clips
from egolib.world.settings import SPLITS
from egolib.world.streams import uid

SETS = 3  # query sets an annotation
RECENT_FRACTION, RECENT_FRAMES = 0.3, 5  # queries that come right after the object was seen
CROP_FRACTION = 0.9  # visible fraction of a good crop
FILES = {"train": "vq_train.json", "val": "vq_val.json", "test": "vq_test_unannotated.json"}
INVALID = {"is_valid": False, "errors": ["the object is not seen again"], "warnings": []}


@dataclass(frozen=True)
class Query:
    """One query set; frames are clip frames.

    Args:
        obj: the object.
        track: first and one-past-last frame of the answer.
        crop: frame of the visual crop.
        frame: the query frame.
    """

    obj: int
    track: tuple[int, int]
    crop: int
    frame: int


@dataclass(frozen=True)
class Clip:
    """A clip of a video at the clips' rate: its frames are every ``skip``-th video frame."""

    video: Video
    first: int
    last: int

    @property
    def skip(self) -> int:
        return self.video.settings.fps // self.video.settings.vq_fps

    @property
    def frames(self) -> np.ndarray:
        """(F,) video frames."""
        return np.arange(self.first, self.last + 1, self.skip)


def candidates(clip: Clip, rng: np.random.Generator) -> list[Query]:
    """Queries that can be asked in a clip, at most one for each answer.

    Those whose distractor is in view before the query frame come first, in random
    order; the others (their distractor is in the room) are for clips too short to
    ask enough.
    """
    truth, settings = clip.video.truth, clip.video.settings
    frames = clip.frames
    instances = clip.video.episode.room.instances
    visible = clip.video.visible[frames][:, : len(instances)]
    sharp = truth.sharp[frames]
    classes = np.array([i.class_index for i in instances])
    queries: list[Query] = []
    spare: list[Query] = []
    for obj in range(len(instances)):
        visits = runs(visible[:, obj])
        twins = (classes == classes[obj]) & (np.arange(len(classes)) != obj)
        for number, (start, end) in enumerate(visits):
            low, high = settings.vq_track_frames
            if not low <= end - start <= high or not sharp[start:end].any():
                continue
            frame = _query_frame(visits, number, len(frames), rng)
            crop = _crop_frame(clip, obj, visits, number, rng)
            if frame is None or crop is None:
                continue
            tempted = visible[:frame, twins].any()
            (queries if tempted else spare).append(Query(obj, (int(start), int(end)), crop, frame))
    return [pool[i] for pool in (queries, spare) for i in rng.permutation(len(pool))]


def _query_frame(
    visits: np.ndarray, number: int, length: int, rng: np.random.Generator
) -> int | None:
    """A frame between this visit and the next; sometimes right after it."""
    first = int(visits[number, 1])
    last = int(visits[number + 1, 0]) if number + 1 < len(visits) else length
    if first >= last:
        return None
    if rng.random() < RECENT_FRACTION:
        last = min(last, first + RECENT_FRAMES)
    return int(rng.integers(first, last))


def _crop_frame(
    clip: Clip, obj: int, visits: np.ndarray, number: int, rng: np.random.Generator
) -> int | None:
    """A sharp, whole view from another visit, a later one where there is one."""
    truth, frames = clip.video.truth, clip.frames
    whole = truth.fraction[frames, obj] >= CROP_FRACTION
    good = whole & truth.sharp[frames] & clip.video.visible[frames, obj]
    later = [int(f) for a, b in visits[number + 1 :] for f in range(a, b) if good[f]]
    earlier = [int(f) for a, b in visits[:number] for f in range(a, b) if good[f]]
    options = later or earlier
    if not options:
        return None
    zoom = truth.camera[frames, 2]
    usual = zoom[visits[number, 0] : visits[number, 1]].mean()
    options.sort(key=lambda f: -abs(zoom[f] - usual))  # another scale
    return options[int(rng.integers(max(1, len(options) // 3)))]


def choose(world: World, split: str) -> dict[tuple[str, int], list[list[Query | None]]]:
    """Query sets of every clip, three an annotation; None for an invalid one.

    Clips take turns; in each turn a clip gives one annotation, about the objects
    that it has asked least about.
    """
    wanted = world.settings.vq_queries[SPLITS.index(split)]
    pools = {}
    for video in world.of(split):
        rng = video.rng("vq2d")
        for clip in video_clips(video):
            pools[(video.uid, clip.first)] = candidates(clip, rng)
    chosen: dict[tuple[str, int], list[list[Query | None]]] = {key: [] for key in pools}
    number = 0
    while number < wanted and any(pools.values()):
        for key, pool in pools.items():
            if number >= wanted or not pool:
                continue
            sets: list[Query | None] = []
            for _ in range(min(SETS, wanted - number)):
                number += 1
                if number % world.settings.vq_invalid_every == 0:
                    sets.append(None)
                elif pool:
                    sets.append(_least_asked(pool, chosen[key], sets))
                else:
                    number -= 1
            chosen[key].append(sets)
    return chosen


def _least_asked(
    pool: list[Query], before: list[list[Query | None]], now: list[Query | None]
) -> Query:
    asked = [q.obj for sets in [*before, now] for q in sets if q is not None]
    pick = min(range(len(pool)), key=lambda i: (asked.count(pool[i].obj), i))
    return pool.pop(pick)


def video_clips(video: Video) -> Iterator[Clip]:
    """The consecutive clips of a video."""
    for first, end in clips(video.settings, video.settings.vq_clip_sec):
        yield Clip(video, first, end - 1)


def clip_uid(clip: Clip) -> str:
    """The clip's name."""
    fps = clip.video.settings.vq_fps
    result: str = clip_fields(clip.video, "vq", clip.first, clip.last, fps)["clip_uid"]
    return result


# ------------------------------------------------------------------------- writing


def export(world: World) -> None:
    """Writes the three files, and the test answers beside the truth."""
    for split in SPLITS:
        chosen = choose(world, split)
        full = _content(world, split, chosen)
        if split == "test":
            write_json(world.path("truth", "vq_test.json"), full)
            full = _without_answers(full)
        write_json(annotation_path(world, FILES[split]), full)


def _content(
    world: World, split: str, chosen: dict[tuple[str, int], list[list[Query | None]]]
) -> dict[str, Any]:
    videos = []
    for video in world.of(split):
        records = []
        for clip in video_clips(video):
            fields = clip_fields(video, "vq", clip.first, clip.last, video.settings.vq_fps) | {
                "clip_fps": float(video.settings.vq_fps),
                "annotation_complete": True,
            }
            fields["annotations"] = [
                _annotation(clip, number, sets)
                for number, sets in enumerate(chosen[(video.uid, clip.first)])
            ]
            records.append(fields)
        videos.append({"video_uid": video.uid, "split": split, "clips": records})
    return head(VERSION, f"VQ annotations ({split})") | {"videos": videos}


def _annotation(clip: Clip, number: int, sets: list[Query | None]) -> dict[str, Any]:
    key = (*clip.video.episode.key, "vq", clip.first, number)
    return {
        "annotation_uid": uid(*key),
        "query_sets": {
            str(i + 1): dict(INVALID) if q is None else _query_set(clip, q)
            for i, q in enumerate(sets)
        },
        "warnings": [],
    }


def _query_set(clip: Clip, query: Query) -> dict[str, Any]:
    instance = clip.video.episode.room.instances[query.obj]
    track = range(*query.track)
    return {
        "is_valid": True,
        "errors": [],
        "warnings": [],
        "query_frame": query.frame,
        "query_video_frame": clip.first + query.frame * clip.skip,
        "object_title": CLASSES[instance.class_index].name.replace("_", " "),
        "visual_crop": _box(clip, query.obj, query.crop),
        "response_track": [_box(clip, query.obj, frame) for frame in track],
    }


def _box(clip: Clip, obj: int, frame: int) -> dict[str, Any]:
    video_frame = clip.first + frame * clip.skip
    x0, y0, x1, y1 = (int(v) for v in clip.video.truth.boxes[video_frame, obj])
    return {
        "frame_number": frame,
        "video_frame_number": video_frame,
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
        "rotation": 0,
        "original_width": clip.video.settings.view_width,
        "original_height": clip.video.settings.view_height,
    }


def _without_answers(content: dict[str, Any]) -> dict[str, Any]:
    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k != "response_track"}
        return [strip(v) for v in value] if isinstance(value, list) else value

    result: dict[str, Any] = strip(content)
    return result
