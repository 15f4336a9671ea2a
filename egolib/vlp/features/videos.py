"""Features of videos: EgoMQ's files, and feature stores of any videos.

Legend: W windows, P embedding width, F frames of a window.

A window is F consecutively sampled frames, at 1.87 windows a second without overlap;
its feature is the projected class token of the dual path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import FeatureWriter, Provenance
from egolib.io.records import Skipped, atomic_path
from egolib.progress import track
from egolib.video import VideoReader
from egolib.vlp.api import VideoLanguage, window_frames
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.readers import moment_frames_on_screen
from egolib.vlp.data.sampling import WINDOWS_PER_SEC, moment_frames

#: Rate that the official extraction assumes, whatever the files say.
ASSUMED_FPS = 30.0


def moment_features(
    model: VideoLanguage,
    video: VideoReader,
    clip: MomentClip,
    fps: float | None = ASSUMED_FPS,
) -> np.ndarray:
    """Features (W, P) float32 of a stretch of a video, as EgoMQ's are made.

    Args:
        model: the network.
        video: opened.
        clip: the stretch.
        fps: rate that is assumed, whatever the file says; None goes by its frame index.
    """
    width = model.view.frames
    if fps is None:
        frames = moment_frames_on_screen(video, clip.start_sec, clip.end_sec, width)
    else:
        frames = moment_frames(clip.start_sec, clip.end_sec, len(video), width, fps)
    last = len(video) - 1
    frames = [min(max(frame, 0), last) for frame in frames]
    return model.embed_windows(video, window_frames(frames, width))


def provenance(model: VideoLanguage, name: str, model_hash: str, fps: float) -> Provenance:
    """What features of this model are.

    Args:
        model: the network.
        name: of the weights.
        model_hash: SHA-256 of their file.
        fps: rate that was assumed.
    """
    return Provenance(
        "video",
        model.model.config.projection_width,
        fps=fps,
        stride_frames=fps / WINDOWS_PER_SEC,
        window_frames=fps / WINDOWS_PER_SEC,
        model=name,
        model_hash=model_hash,
    )


def extract_moments(
    model: VideoLanguage,
    clips: Sequence[MomentClip],
    videos: str | Path,
    out: str | Path,
    *,
    about: Provenance | None = None,
    fps: float | None = ASSUMED_FPS,
) -> Skipped:
    """One array a clip; finished ones are kept, unreadable ones listed.

    Args:
        model: the network.
        clips: stretches of videos.
        videos: folder with ``<video_uid>.mp4``.
        out: folder; ``<clip_uid>.pt`` tensors (W, P) float32 there are the official
            layout, which the published heads read.
        about: write a feature store with this provenance instead.
        fps: rate that is assumed, whatever the files say; None goes by their frame index.
    """
    writer = FeatureWriter(out, about) if about is not None else _OfficialWriter(out)
    skipped = Skipped()
    left = [clip for clip in clips if not writer.has(clip.clip_uid)]
    for uid, group in track(list(_by_video(left).items()), "features", unit="video"):
        try:
            video = VideoReader(Path(videos) / f"{uid}.mp4")
        except EgolibError as error:
            for clip in group:
                skipped.add(clip.clip_uid, error)
            continue
        for clip in group:
            _extract(model, video, clip, writer, fps, skipped)
        video.close()
    return skipped


def extract_videos(
    model: VideoLanguage,
    videos: Mapping[str, Path],
    out: str | Path,
    about: Provenance,
) -> Skipped:
    """A feature store of whole videos, by uid; finished ones are kept.

    Args:
        model: the network.
        videos: files by uid.
        out: folder of the store.
        about: its ``fps`` is assumed for all videos (see ``provenance``).
    """
    writer, skipped = FeatureWriter(out, about), Skipped()
    for uid, path in track(list(videos.items()), "features", unit="video"):
        if writer.has(uid):
            continue
        try:
            with VideoReader(path) as video:
                writer.write(uid, model.features(video, about.fps))
        except EgolibError as error:
            skipped.add(uid, error)
    return skipped


class _OfficialWriter:
    """A folder of ``<clip_uid>.pt`` tensors."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def has(self, uid: str) -> bool:
        """True when the clip's file is there; they appear whole."""
        return (self.folder / f"{uid}.pt").is_file()

    def write(self, uid: str, array: np.ndarray) -> None:
        """Writes one tensor (W, P) float32."""
        import torch

        with atomic_path(self.folder / f"{uid}.pt") as temporary:
            torch.save(torch.from_numpy(array), temporary)


def _by_video(clips: Sequence[MomentClip]) -> dict[str, list[MomentClip]]:
    groups: dict[str, list[MomentClip]] = {}
    for clip in clips:
        groups.setdefault(clip.video_uid, []).append(clip)
    return groups


def _extract(
    model: VideoLanguage,
    video: VideoReader,
    clip: MomentClip,
    writer: FeatureWriter | _OfficialWriter,
    fps: float | None,
    skipped: Skipped,
) -> None:
    try:
        array = moment_features(model, video, clip, fps)
        if len(array) == 0:
            raise EgolibError("the stretch is shorter than a window")
        writer.write(clip.clip_uid, array)
    except EgolibError as error:
        skipped.add(clip.clip_uid, error)
