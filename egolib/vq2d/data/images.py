"""The single images that training reads: names, and which frames are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from egolib.video.timing import clip_to_video

WhichAnnotations = Literal["official", "all"]


@dataclass(frozen=True)
class StoredImage:
    """A frame to store: its number in the video, and the name below the image folder."""

    video_frame: int
    name: str


def image_name(clip_uid: str | None, frame: int, suffix: str = ".jpg") -> str:
    """The file name of a clip frame; numbers in names count from 1.

    Args:
        clip_uid: of the clip.
        frame: clip frame, from 0.
        suffix: ``.jpg`` or ``.png``.

    >>> image_name("abc", 73)
    'abc/frame_0000074.jpg'
    """
    return f"{clip_uid}/frame_{frame + 1:07d}{suffix}"


def images_of_clip(
    clip: Mapping[str, Any],
    skip: int,
    *,
    annotations: WhichAnnotations = "official",
    negatives: bool = False,
    suffix: str = ".jpg",
) -> list[StoredImage]:
    """Frames of a clip that training needs: the visual crop's, then the track's, then
    the negative ones, query by query.

    Args:
        clip: the clip's record.
        skip: video frames from one clip frame to the next.
        annotations: ``official`` reads the first annotation of the clip only (the
            baseline's quirk), ``all`` reads every one (the improved baseline).
        negatives: also store frames without the object (``negative_frames``).
        suffix: ``.jpg``, or ``.png`` of older code and the improved baseline.
    """
    chosen = clip["annotations"][:1] if annotations == "official" else clip["annotations"]
    numbers: list[int] = []
    for annotation in chosen:
        for query in annotation["query_sets"].values():
            if query.get("is_valid"):
                numbers += _frames_of_query(query, negatives)
    start = clip["video_start_frame"]
    return [
        StoredImage(
            clip_to_video(number, start, skip), image_name(clip["clip_uid"], number, suffix)
        )
        for number in numbers
    ]


def negative_frames(track: list[int] | tuple[int, ...], query_frame: int) -> list[int]:
    """Frames after the answer, the object gone: each track frame moved on by the track's length.

    Those at or after the query frame are left out.

    >>> negative_frames([5, 6, 7], 10)
    [8, 9]
    """
    if not track:
        return []
    length = max(track) - min(track) + 1
    return [frame + length for frame in track if frame + length < query_frame]


def _frames_of_query(query: Mapping[str, Any], negatives: bool) -> list[int]:
    crop = query["visual_crop"]["frame_number"]
    track = [record["frame_number"] for record in query.get("response_track", ())]
    if not negatives:
        return [crop, *track]
    track = sorted(track)
    return [crop, *track, *negative_frames(track, query["query_frame"])]
