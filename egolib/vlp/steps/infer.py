"""``3_infer``: scores and features that a trained network gives, as files.

Legend: Q questions, N clips, F frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from egolib.config import tree_hash
from egolib.errors import EgolibError
from egolib.io.records import Skipped, file_sha256, read_json, write_json
from egolib.report.results import Similarity
from egolib.runs.stamps import code_hash
from egolib.runs.step import Step
from egolib.vlp.api import VideoLanguage, load
from egolib.vlp.benchmarks.scores import charades_scores, egomcq_scores, epic_similarity, rerank
from egolib.vlp.config import Benchmark, Config
from egolib.vlp.data.clips import stream_views
from egolib.vlp.data.retrieval import epic_clips
from egolib.vlp.data.reversal import OppositeClip, opposite_clips
from egolib.vlp.data.training import frame_source
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos, EpicVideos
from egolib.vlp.evaluation import read_scores, write_scores
from egolib.vlp.features.annotated_clips import clip_store, moment_store
from egolib.vlp.steps.evaluate import (
    VIEWS,
    charades_classes,
    charades_videos,
    epic_split,
    questions,
)

if TYPE_CHECKING:
    import pandas as pd

ONE_FRAME = "one_frame"


@dataclass
class Predictions:
    """What a step wrote.

    Args:
        files: by benchmark: a score file, or a folder of features.
        skipped: clips and videos that could not be read.
    """

    files: dict[str, Path] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)

    def score_files(self) -> list[Path]:
        """The score files among them, re-ranked ones included."""
        files = [file for file in self.files.values() if file.suffix == ".npz"]
        again = [file.with_name(f"{file.stem}_reranked.npz") for file in files]
        return [*files, *(file for file in again if file.is_file())]


def predict(step: Step[Config], model: VideoLanguage) -> Predictions:
    """Scores and features of every benchmark of the configuration.

    Score files of an earlier run stay where weights, configuration and code are the
    same; features are kept clip by clip.
    """
    found, key = Predictions(), _key(step)
    for name in step.config.infer.benchmarks:
        if name in ("moments", "clips"):
            found.files[name] = write_features(step, model, name, found.skipped)
            continue
        file, note = step.out / f"{name}.npz", step.out / f"{name}.key.json"
        if not (file.is_file() and note.is_file() and read_json(note) == key):
            arrays = scores_of(step, model, name, found.skipped)
            again = {k: arrays.pop(f"reranked_{k}", None) for k in ("similarity", "by_text")}
            write_scores(file, arrays)
            if again["similarity"] is not None:
                write_scores(step.out / f"{name}_reranked.npz", again)
            write_json(note, key)
        found.files[name] = file
    return found


# ------------------------------------------------------------------------------ weights


def weights_file(step: Step[Config]) -> Path:
    """A training's weights by name, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: the training did not write them.
    """
    given, name = step.inputs.get("model"), step.config.infer.weights
    if given is not None and given.is_file():
        return given
    file = step.input("model") / "train" / f"{name}.safetensors"
    if not file.is_file():
        known = sorted(f.stem for f in file.parent.glob("*.safetensors"))
        raise EgolibError(f"no weights {name!r}", file=file, remedy=f"one of {', '.join(known)}")
    return file


def load_model(step: Step[Config]) -> VideoLanguage:
    """The trained network of a step, with its vocabulary."""
    infer, file = step.config.infer, weights_file(step)
    beside = any((file.parent / n).is_file() for n in ("vocabulary.json", "vocab.json"))
    return load(
        file,
        tokenizer=None if beside else step.data_root / step.config.data.vocabulary,
        frames=infer.frames or None,
        device=infer.device,
        batch=infer.batch,
    )


def _key(step: Step[Config]) -> str:
    """Identifies everything that kept scores rest on."""
    return tree_hash([file_sha256(weights_file(step)), step.fingerprint, code_hash("vlp")])


# ------------------------------------------------------------------------------- scores


def scores_of(
    step: Step[Config], model: VideoLanguage, name: Benchmark, skipped: Skipped | None = None
) -> dict[str, np.ndarray | None]:
    """The score arrays of one benchmark; see ``egolib.vlp.evaluation``."""
    makers = {"egomcq": _egomcq, "reversal": _reversal, "epic": _epic, "charades": _charades}
    if name not in makers:
        raise EgolibError(f"{name!r} is no scored benchmark")
    model.view = replace(model.view, kind=VIEWS[name])
    return makers[name](step, model, Skipped() if skipped is None else skipped)


Arrays = dict[str, np.ndarray | None]


def _egomcq(step: Step[Config], model: VideoLanguage, skipped: Skipped) -> Arrays:
    infer, videos = step.config.infer, egoclip_videos(step)
    dual, fusion = egomcq_scores(
        model,
        questions(step),
        videos,
        fusion=infer.fusion,
        skipped=skipped,
        workers=infer.workers,
    )
    return {"dual": dual, "fusion": fusion}


def _epic(step: Step[Config], model: VideoLanguage, skipped: Skipped) -> Arrays:
    infer, split = step.config.infer, epic_split(step)
    videos = EpicVideos(step.data_root, frame_source(step))
    similarity = epic_similarity(model, split, videos, skipped=skipped, workers=infer.workers)
    if not infer.rerank:
        return {"similarity": similarity}
    views = epic_clips(split.clips, videos, model.view, workers=infer.workers)
    texts = split.sentences.narrations
    by_clip, by_text = rerank(model, similarity, views, texts, infer.rerank)
    return {"similarity": similarity, "reranked_similarity": by_clip, "reranked_by_text": by_text}


def _charades(step: Step[Config], model: VideoLanguage, skipped: Skipped) -> Arrays:
    names = [video.video for video in charades_videos(step)]
    videos = CharadesVideos(step.data_root, step.config.data)
    classes, workers = charades_classes(step), step.config.infer.workers
    found = charades_scores(model, names, classes, videos, skipped=skipped, workers=workers)
    return {"scores": found}


@torch.inference_mode()
def _reversal(step: Step[Config], model: VideoLanguage, skipped: Skipped) -> Arrays:
    """By way to show the frames, (N, 2) cosines with the right and with the opposite text."""
    clips, videos = opposite_clips(questions(step)), egoclip_videos(step)
    places = [(c.clip.video_uid, c.clip.start_sec, c.clip.end_sec) for c in clips]
    reads = [partial(videos.images, *place, model.view.frames) for place in places]
    views = list(stream_views(reads, places, model.view, skipped=skipped))
    texts = _pairs_of_texts(model, clips)
    return {way: _cosines(model, shown, texts) for way, shown in ways_to_show(views).items()}


def ways_to_show(views: list[Tensor]) -> dict[str, list[Tensor]]:
    """Clips (F, 3, S, S) with their frames in order, in random order, and one frame repeated."""
    frames = len(views[0]) if views else 1
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(frames, generator=generator) for _ in views]
    middle = torch.full((frames,), frames // 2)
    return {
        "ordered": views,
        "shuffled": [view[order] for view, order in zip(views, orders)],
        ONE_FRAME: [view[middle] for view in views],
    }


def _pairs_of_texts(model: VideoLanguage, clips: list[OppositeClip]) -> Tensor:
    """(N, 2, P) embeddings of what each clip shows and of the opposite."""
    unique = sorted({text for clip in clips for text in (clip.text, clip.opposite)})
    place = {text: i for i, text in enumerate(unique)}
    rows = [[place[clip.text], place[clip.opposite]] for clip in clips]
    return torch.from_numpy(model.embed_text(unique))[torch.tensor(rows)]


def _cosines(model: VideoLanguage, views: list[Tensor], texts: Tensor) -> np.ndarray:
    """(N, 2) cosines of clips with their two texts."""
    batches = model.batches(iter(views))
    video = torch.from_numpy(
        model.rows([model.model.encode_video(v).float().cpu() for v in batches])
    )
    video, texts = (torch.nn.functional.normalize(x, dim=-1) for x in (video, texts))
    return (texts @ video[:, :, None])[..., 0].numpy()


def egoclip_videos(step: Step[Config]) -> EgoClipVideos:
    """The clips of EgoClip and EgoMCQ."""
    return EgoClipVideos(step.data_root, step.config.data, frame_source(step))


# ----------------------------------------------------------------------------- features


def write_features(step: Step[Config], model: VideoLanguage, name: str, skipped: Skipped) -> Path:
    """EgoMQ features, or the store of the NLQ clips; returns the folder."""
    file = weights_file(step)
    ours = file.name == "model.safetensors" and file.parent.name == "train"
    label = f"vlp/{file.parents[2].name} {step.preset}" if ours else file.name
    make = moment_store if name == "moments" else clip_store
    folder, lost = make(step, model, label, file_sha256(file))
    for record, why in lost.reasons.items():
        skipped.add(record, why)
    return folder


# ------------------------------------------------------------------------------- looking


def example(step: Step[Config], model: VideoLanguage) -> tuple[Path, Similarity]:
    """A video of EgoMCQ and how similar the texts of four of its clips are to it over time."""
    first = questions(step)[0].choices[0].video_uid
    chosen = {c.text: c for q in questions(step) for c in q.choices if c.video_uid == first}
    clips = sorted(chosen.values(), key=lambda c: c.start_sec)
    texts = [c.text for c in clips[:: max(1, len(clips) // 4)]][:4]
    path = egoclip_videos(step).folder / first / "0.mp4"
    model.view = replace(model.view, kind=VIEWS["egomcq"])
    return path, model.similarity(path, texts)


def score_table(made: Predictions) -> pd.DataFrame:
    """Shape and spread of every array of scores."""
    import pandas as pd

    rows = {}
    for file in made.score_files():
        for name, array in read_scores(file).items():
            about = {"shape": str(array.shape), "mean": array.mean(), "deviation": array.std()}
            rows[f"{file.stem}, {name}"] = about | {"lowest": array.min(), "highest": array.max()}
    return pd.DataFrame(rows).T.infer_objects()
