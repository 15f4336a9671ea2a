"""From full videos to the clips at 5 fps and the single images of training.

``plans`` says what is to be cut, ``egolib.video.extract`` cuts it in one pass per video,
``check_clips`` looks whether clips fit the annotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.records import Skipped
from egolib.video import VideoReader, check_backend
from egolib.video.encode import Encoding
from egolib.video.plans import ClipPlan, ImagePlan, VideoPlan
from egolib.video.resize import Resize
from egolib.video.timing import clip_frames, frame_step
from egolib.vq2d.config import DataConfig
from egolib.vq2d.data.annotations import Annotations, Query
from egolib.vq2d.data.frames import right_duration
from egolib.vq2d.data.images import images_of_clip

Record = Mapping[str, Any]


def find_videos(root: str | Path) -> Path:
    """The folder of full videos below a data root, or the root itself where videos lie in it.

    Raises:
        EgolibError: there is none.
    """
    root = Path(root)
    places = [root / "ego4d" / "v1" / "full_scale", root / "ego4d" / "v2" / "full_scale", root]
    for place in places:
        if next(place.glob("*.mp4"), None) is not None:
            return place
    raise EgolibError(
        "no videos here",
        file=root,
        remedy=f"expected <video_uid>.mp4 in {places[0]}; see the page on data",
    )


def plans(
    annotations: Annotations,
    videos: str | Path,
    clips: str | Path,
    images: str | Path | None,
    config: DataConfig,
    only_clips: Iterable[str] | None = None,
) -> tuple[list[VideoPlan], Skipped]:
    """What is to be cut out of each video.

    Args:
        annotations: of one split.
        videos: folder of full videos, ``<video_uid>.mp4``.
        clips: folder for ``<clip_uid>.mp4``.
        images: folder for ``<clip_uid>/frame_<number>.jpg``; None makes no images.
        config: clips and images.
        only_clips: clip uids to restrict to.

    Returns:
        One plan per video, by ascending uid, and what is passed over: clips without uid,
        missing videos, videos of a rate that gives no clips.

    Raises:
        EgolibError: ``config.backend`` is not installed.
    """
    check_backend(config.backend)
    chosen = None if only_clips is None else set(only_clips)
    found, skipped = [], Skipped()
    for video in sorted(annotations.videos, key=lambda record: record["video_uid"]):
        wanted = _wanted_clips(video, chosen, skipped)
        source = Path(videos) / f"{video['video_uid']}.mp4"
        if not wanted:
            continue
        try:
            found.append(_video_plan(source, wanted, Path(clips), images, config))
        except EgolibError as error:
            skipped.add(video["video_uid"], error)
    return found, skipped


def video_batch(video_plans: Sequence[VideoPlan], number: int, size: int = 10) -> list[VideoPlan]:
    """The plans of one batch of videos, counted from 0, to spread the work over jobs.

    Args:
        video_plans: of all videos.
        number: of the batch, from 0.
        size: videos of a batch.
    """
    return list(video_plans[number * size : (number + 1) * size])


def _wanted_clips(video: Record, chosen: set[str] | None, skipped: Skipped) -> list[Record]:
    wanted = []
    for clip in video["clips"]:
        if clip["clip_uid"] is None:
            skipped.add(f"clip at {clip['video_start_sec']} s of {video['video_uid']}", "no uid")
        elif chosen is None or clip["clip_uid"] in chosen:
            wanted.append(clip)
    return wanted


def _video_plan(
    source: Path,
    wanted: Sequence[Record],
    clips: Path,
    images: str | Path | None,
    config: DataConfig,
) -> VideoPlan:
    rate = VideoReader(source, config.backend).rate
    resize = Resize(config.height if config.height > 0 else None)
    clip_plans, image_plans = [], []
    for clip in wanted:
        step = frame_step(rate, clip["clip_fps"], config.rate_rounding)
        frames = clip_frames(clip["video_start_frame"], clip["video_end_frame"], step)
        target = clips / f"{clip['clip_uid']}.mp4"
        fps = int(clip["clip_fps"])
        clip_plans.append(ClipPlan(target, frames, fps, resize, Encoding(crf=config.crf)))
        if images is not None:
            image_plans += _image_plans(clip, step, Path(images), resize, config)
    return VideoPlan(source, clip_plans, image_plans, backend=config.backend)


def _image_plans(
    clip: Record, step: int, folder: Path, resize: Resize, config: DataConfig
) -> list[ImagePlan]:
    stored = images_of_clip(
        clip,
        step,
        annotations=config.image_annotations,
        negatives=config.negative_frames,
        suffix=config.image_suffix,
    )
    unique = {image.name: image.video_frame for image in stored}
    return [
        ImagePlan(folder / name, frame, resize, config.image_quality)
        for name, frame in unique.items()
    ]


# ------------------------------------------------------------------------ checking


def check_clips(annotations: Annotations, clips: str | Path, backend: str = "av") -> Skipped:
    """Clips that are missing, unreadable, of the wrong length, or too short for a query.

    Works on test files too, which have no response tracks. Only the first problem of a
    clip is noted.

    Args:
        annotations: of one split.
        clips: folder of ``<clip_uid>.mp4``.
        backend: what decodes; see ``egolib.video.VideoReader``.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    problems = Skipped()
    by_clip = annotations.by_clip()
    for video in annotations.videos:
        for clip in video["clips"]:
            uid = clip["clip_uid"]
            if uid is not None:
                path = Path(clips) / f"{uid}.mp4"
                problem = _clip_problem(path, clip, by_clip.get(uid, []), backend)
                if problem:
                    problems.add(uid, problem)
    return problems


def _clip_problem(path: Path, clip: Record, queries: Sequence[Query], backend: str) -> str | None:
    try:
        reader = VideoReader(path, backend)
    except EgolibError as error:
        return error.what
    seconds = clip["video_end_sec"] - clip["video_start_sec"]
    frames = len(reader)
    if not right_duration(frames, reader.fps, clip["video_start_sec"], clip["video_end_sec"]):
        return f"lasts {frames / reader.fps:.1f} s, the annotation says {seconds:.1f} s"
    wanted = int(clip["clip_fps"])
    if round(reader.fps) != wanted:
        return f"runs at {reader.fps:g} frames per second, annotations count {wanted}"
    for query in queries:
        needed = {"visual crop": query.crop.frame, "query": query.query_frame}
        needed |= {"response": max((box.frame for box in query.track), default=0)}
        for what, frame in needed.items():
            if frame >= frames:
                return f"{query.key}: {what} frame {frame} of a clip of {frames} frames"
    return None
