"""Feature stores that a run writes: EgoMQ's, one of the NLQ clips, and those of NLQ questions.

Legend: W rows of a clip, P embedding width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from egolib.errors import EgolibError
from egolib.io.features import FeatureStore, FeatureWriter, Provenance, write_packed
from egolib.io.records import Skipped, file_sha256, read_json, write_json
from egolib.progress import track
from egolib.report.results import plain
from egolib.runs.result_cache import cache_key
from egolib.runs.shards import own_part
from egolib.runs.step import Step
from egolib.vlp.api import Stretch, VideoLanguage, rows_between, text_provenance
from egolib.vlp.config import Config
from egolib.vlp.data.moments import (
    ANNOTATIONS,
    FILES,
    VIDEOS,
    MomentClip,
    read_moment_clips,
    read_query_texts,
)
from egolib.vlp.data.readers import OpenVideos
from egolib.vlp.data.training import frame_source
from egolib.vlp.data.videos import Source
from egolib.vlp.features.questions import (
    STORES,
    Questions,
    extract_questions,
    read_questions,
)
from egolib.vlp.features.videos import ASSUMED_FPS, extract_moments, provenance

QUESTIONS = Path("nlq/questions")
"""Below the data root: the prepared question files, where the input ``questions`` is not given."""
SPLITS = ("train.json", "val.json", "test.json")
TEXTS = "vlp_text"  #: the store of text states, beside that of the clips
KEY = "key.json"  #: beside features: what they rest on
#: Annotation files whose clips nlq reads features of; those that are absent are passed over.
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
        step: its configuration.
        model: the network.
        name: of the weights, for a store's provenance.
        model_hash: SHA-256 of their file.
    """
    config, folder = step.config, step.out / "moments"
    clips = read_moment_clips(_present(step.data_root / ANNOTATIONS, FILES))
    fps = config.data.assumed_fps
    about = provenance(model, name, model_hash, fps)
    store = config.infer.feature_layout == "store"
    key = feature_key(step, model, model_hash, fps=fps, store=store)
    forget_others(folder, key)
    skipped = extract_moments(
        model,
        own_part(clips, length),
        step.data_root / VIDEOS,
        folder,
        about=about if store else None,
        fps=None if config.data.frame_times == "index" else fps,
        backend=config.data.backend,
    )
    return folder, skipped


def text_store(step: Step[Config], model: VideoLanguage, name: str, model_hash: str) -> Path | None:
    """Text states (L, width) of the NLQ questions, beside the store of their clips.

    Args:
        step: its configuration.
        model: the network; without a vocabulary nothing is written.
        name: of the weights, for the store's provenance.
        model_hash: SHA-256 of their file.
    """
    folder = (step.data_root / step.config.infer.clip_store).with_name(TEXTS)
    files = [step.data_root / ANNOTATIONS / name for name in CLIP_FILES if name.startswith("nlq")]
    questions = read_query_texts([file for file in files if file.is_file()])
    if model.tokenizer is None or not questions or not _is_ours(folder):
        return None
    arrays = {uid: model.tokens(text) for uid, text in questions.items()}
    write_packed(folder, text_provenance(model, name, model_hash), arrays)
    return folder


def clip_store(
    step: Step[Config], model: VideoLanguage, name: str, model_hash: str
) -> tuple[Path, Skipped]:
    """The feature store of the NLQ clips, below the data root, where nlq reads it.

    Args:
        step: its configuration.
        model: the network.
        name: of the weights, for the store's provenance.
        model_hash: SHA-256 of their file.
    """
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
    if _is_ours(folder):
        forget_others(folder, feature_key(step, model, model_hash, about=asdict(about)))
    text_store(step, model, name, model_hash)
    source = frame_source(step) or OpenVideos(backend=step.config.data.backend)
    return folder, write_clips(model, clips, step.data_root / VIDEOS, folder, about, source)


def question_stores(
    step: Step[Config], model: VideoLanguage, name: str, model_hash: str
) -> tuple[Path, Skipped]:
    """EgoNLQ features by question, in the step's folder: the stores ``video``, ``text``, ``mask``.

    The questions are those of the files ``{train,val,test}.json`` of the input ``questions``
    (a ``1_data`` of nlq's VSLNet), or below the data root.

    Args:
        step: its configuration.
        model: the network, with its vocabulary.
        name: of the weights, for the stores' provenance.
        model_hash: SHA-256 of their file.

    Raises:
        EgolibError: no file of questions.
    """
    folder, fps = step.out / "questions", step.config.data.assumed_fps
    given = "questions" in step.inputs
    files = _present(step.input("questions") if given else step.data_root / QUESTIONS, SPLITS)
    questions: dict[str, Questions] = {}
    for file in files:
        questions |= read_questions(file)
    clips = read_moment_clips(_present(step.data_root / ANNOTATIONS, CLIP_FILES))
    about = provenance(model, name, model_hash, fps)
    key = feature_key(step, model, model_hash, fps=fps, questions=list(map(file_sha256, files)))
    for store in STORES:
        forget_others(folder / store, key)
    index = step.config.data.frame_times == "index"
    skipped = extract_questions(
        model,
        own_part(clips, length),
        questions,
        step.data_root / VIDEOS,
        folder,
        about=about,
        fps=None if index else fps,
        backend=step.config.data.backend,
    )
    return folder, skipped


def feature_key(
    step: Step[Config], model: VideoLanguage, model_hash: str, **settings: Any
) -> dict[str, Any]:
    """What features rest on.

    Args:
        step: its configuration.
        model: the network.
        model_hash: SHA-256 of its file.
        settings: further ones.
    """
    data = step.config.data
    shown: dict[str, Any] = {"frames": model.view.frames, "frame_times": data.frame_times}
    shown |= {"cache_height": data.cache_height}
    shown |= {"backend": data.backend} if data.backend != "av" else {}
    return cache_key(step.task, weights=[model_hash], **shown, **settings)


def forget_others(folder: Path, key: dict[str, Any]) -> None:
    """Removes features that rest on something else; notes what the next ones rest on."""
    note = folder / KEY
    if note.is_file() and read_json(note, dict) == plain(key):
        return
    for pattern in ("*.pt", "*.safetensors", "store.json"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    write_json(note, plain(key), indent=1)


def _is_ours(folder: Path) -> bool:
    """Whether a store is not there yet, or was written by a vlp run; others stay."""
    file = folder / "store.json"
    return not file.is_file() or FeatureStore(folder).provenance.model.startswith("vlp/")


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
        model: the network.
        clips: stretches of videos.
        videos: folder with ``<video_uid>.mp4``.
        folder: where the store lies.
        about: stride and window of the rows, in frames at its rate.
        source: where decoded frames come from.
    """
    writer, skipped = FeatureWriter(folder, about), Skipped()
    for clip in track(own_part(clips, length), "features", unit="clip"):
        if writer.has(clip.clip_uid):
            continue
        try:
            video = source.get(videos / f"{clip.video_uid}.mp4")
            writer.write(clip.clip_uid, model.embed_video(video, rows_of(clip, about)))
        except EgolibError as error:
            skipped.add(clip.clip_uid, error)
    return skipped


def length(clip: MomentClip) -> float:
    """Of a clip, in seconds: what computing its features costs."""
    return clip.end_sec - clip.start_sec


def rows_of(clip: MomentClip, about: Provenance) -> list[Stretch]:
    """The stretch of the video, in seconds, that each row of a clip sees.

    Row i stands for the time (i + 0.5) strides after the clip's start; its window is
    as wide as stated, also where that is wider than a stride.
    """
    assert about.fps and about.stride_frames and about.window_frames
    stride, window = about.stride_frames / about.fps, about.window_frames / about.fps
    return rows_between(clip.start_sec, clip.end_sec, stride, window)


def _present(folder: Path, names: Iterable[str]) -> list[Path]:
    files = [folder / name for name in names if (folder / name).is_file()]
    if not files:
        raise EgolibError("no annotations here", file=folder, remedy="see the table of sources")
    return files
