"""Feature stores that a run writes: EgoMQ's, and one of the clips of the NLQ annotations.

Legend: W rows of a clip, P embedding width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from egolib.errors import EgolibError
from egolib.io.features import FeatureStore, FeatureWriter, Provenance
from egolib.io.records import Skipped
from egolib.progress import track
from egolib.runs.step import Step
from egolib.vlp.api import Stretch, VideoLanguage
from egolib.vlp.config import Config
from egolib.vlp.data.moments import ANNOTATIONS, FILES, VIDEOS, MomentClip, read_moment_clips
from egolib.vlp.data.readers import OpenVideos
from egolib.vlp.data.training import frame_source
from egolib.vlp.data.videos import Source
from egolib.vlp.features.videos import ASSUMED_FPS, extract_moments, provenance

#: Annotation files whose clips nlq reads features of; those that are absent are left out.
CLIP_FILES = tuple(
    f"{kind}_{split}.json"
    for kind in ("nlq", "vq")
    for split in ("train", "val", "test_unannotated")
)


def moment_store(
    step: Step[Config], model: VideoLanguage, name: str, model_hash: str
) -> tuple[Path, Skipped]:
    """EgoMQ features of the clips of the moments annotations, in the step's folder.

    Args:
        name, model_hash: of the weights, for a store's provenance.
    """
    config, folder = step.config, step.out / "moments"
    clips = read_moment_clips(_present(step.data_root / ANNOTATIONS, FILES))
    fps = config.data.assumed_fps
    about = provenance(model, name, model_hash, fps)
    skipped = extract_moments(
        model,
        clips,
        step.data_root / VIDEOS,
        folder,
        about=about if config.infer.feature_layout == "store" else None,
        fps=fps,
    )
    return folder, skipped


def clip_store(
    step: Step[Config], model: VideoLanguage, name: str, model_hash: str
) -> tuple[Path, Skipped]:
    """The feature store of the NLQ clips, below the data root, where nlq reads it."""
    infer, folder = step.config.infer, step.data_root / step.config.infer.clip_store
    clips = read_moment_clips(_present(step.data_root / ANNOTATIONS, CLIP_FILES))
    about = Provenance(
        "video",
        model.model.config.projection_width,
        fps=ASSUMED_FPS,
        stride_frames=infer.clip_stride_frames,
        window_frames=infer.clip_window_sec * ASSUMED_FPS,
        model=name,
        model_hash=model_hash,
    )
    _forget_other_weights(folder, about)
    source = frame_source(step) or OpenVideos()
    return folder, write_clips(model, clips, step.data_root / VIDEOS, folder, about, source)


def write_clips(
    model: VideoLanguage,
    clips: Sequence[MomentClip],
    videos: Path,
    folder: Path,
    about: Provenance,
    source: Source,
) -> Skipped:
    """A store with one array (W, P) a clip; finished ones are kept, unreadable ones listed.

    Args:
        videos: folder with ``<video_uid>.mp4``.
        about: stride and window of the rows, in frames at its rate.
        source: where decoded frames come from.
    """
    writer, skipped = FeatureWriter(folder, about), Skipped()
    for clip in track(clips, "features", unit="clip"):
        if writer.has(clip.clip_uid):
            continue
        try:
            video = source.get(videos / f"{clip.video_uid}.mp4")
            writer.write(clip.clip_uid, model.embed_video(video, rows_of(clip, about)))
        except EgolibError as error:
            skipped.add(clip.clip_uid, error)
    return skipped


def _forget_other_weights(folder: Path, about: Provenance) -> None:
    """Removes a store of ours that other weights wrote; stores of other origin stay."""
    file = folder / "store.json"
    if not file.is_file():
        return
    old = FeatureStore(folder).provenance
    if old != about and old.model.startswith("vlp/"):
        for name in ("*.safetensors", "store.json"):
            for path in folder.glob(name):
                path.unlink()


def rows_of(clip: MomentClip, about: Provenance) -> list[Stretch]:
    """The stretch of the video, in seconds, that each row of a clip sees.

    Row i stands for the time (i + 0.5) strides after the clip's start; its window is
    as wide as stated, also where that is wider than a stride.
    """
    assert about.fps and about.stride_frames and about.window_frames
    stride, half = about.stride_frames / about.fps, about.window_frames / about.fps / 2
    count = int((clip.end_sec - clip.start_sec) / stride)
    centres = clip.start_sec + (np.arange(count) + 0.5) * stride
    return [(max(0.0, float(c) - half), float(c) + half) for c in centres]


def _present(folder: Path, names: Iterable[str]) -> list[Path]:
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise EgolibError("no annotations here", file=folder, remedy="see the table of sources")
    return files
