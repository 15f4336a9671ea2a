"""Features of videos: EgoMQ's files, and feature stores of any videos.

Legend: W windows, P embedding width, F frames of a window.

A window is F consecutively sampled frames, at 1.87 windows a second without overlap;
its feature is the projected class token of the dual path.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import FeatureWriter, Provenance
from egolib.io.records import Skipped, atomic_path
from egolib.progress import track
from egolib.video import VideoReader, VideoWarning, check_backend
from egolib.video.timing import cut_interval
from egolib.vlp.api import VideoLanguage, window_frames
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.readers import moment_frames_on_screen
from egolib.vlp.data.sampling import WINDOWS_PER_SEC, moment_frames

#: Rate that the official extraction assumes, whatever the files say.
ASSUMED_FPS = 30.0
SAME_RATE = 0.01  # 29.97 and 30 are one


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
        fps: see ``windows_of``.

    Raises:
        EgolibError: no part of the clip lies in the video.
    """
    return model.embed_windows(video, windows_of(video, clip, model.view.frames, fps))


def windows_of(
    video: VideoReader, clip: MomentClip, width: int, fps: float | None = ASSUMED_FPS
) -> np.ndarray:
    """Frame numbers (W, F) of the windows of a stretch of a video.

    Args:
        video: opened.
        clip: the stretch; what goes past the end of the video shows its last frame.
        width: F.
        fps: rate that is assumed, whatever the file says; None goes by its frame index.

    Raises:
        EgolibError: no part of the clip lies in the video.
    """
    cut_interval(clip.start_sec, clip.end_sec, video.duration_sec, file=video.path)
    if fps is None:
        frames = moment_frames_on_screen(video, clip.start_sec, clip.end_sec, width)
    else:
        tell_rate(video, fps)
        frames = moment_frames(clip.start_sec, clip.end_sec, len(video), width, fps)
    last = len(video) - 1
    return window_frames([min(max(frame, 0), last) for frame in frames], width)


def tell_rate(video: VideoReader, fps: float | None) -> None:
    """Warns where a video runs at another rate than the one that is assumed for it."""
    if fps is not None and abs(video.fps / fps - 1) > SAME_RATE:
        warnings.warn(
            f"{video.path.name} runs at {video.fps:g} frames a second, {fps:g} are assumed: its "
            f"features stand for times that are {video.fps / fps:.2f} times as late as stated. "
            "data.frame_times: index goes by the file's own times",
            VideoWarning,
            stacklevel=2,
        )


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
    backend: str = "av",
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
        backend: what decodes; see ``egolib.video.VideoReader``.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    writer = FeatureWriter(out, about) if about is not None else _OfficialWriter(out)
    skipped = Skipped()
    left = [clip for clip in clips if not writer.has(clip.clip_uid)]
    for uid, group in track(list(_by_video(left).items()), "features", unit="video"):
        try:
            video = VideoReader(Path(videos) / f"{uid}.mp4", backend)
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
    *,
    backend: str = "av",
) -> Skipped:
    """A feature store of whole videos, by uid; finished ones are kept.

    Args:
        model: the network.
        videos: files by uid.
        out: folder of the store.
        about: see ``provenance``; frames of videos of its rate are counted, those of others
            go by their own times, so that a row stands for the same time in all.
        backend: what decodes; see ``egolib.video.VideoReader``.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    writer, skipped = FeatureWriter(out, about), Skipped()
    for uid, path in track(list(videos.items()), "features", unit="video"):
        if writer.has(uid):
            continue
        try:
            with VideoReader(path, backend) as video:
                same = abs(video.fps / (about.fps or video.fps) - 1) <= SAME_RATE
                writer.write(uid, model.features(video, about.fps if same else None))
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
