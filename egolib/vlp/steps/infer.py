"""``3_infer``: scores and features that a trained network gives, as files.

Legend: Q questions, N clips, F frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from egolib.config import to_tree
from egolib.engine.precision import in_precision_of_infer
from egolib.errors import EgolibError
from egolib.io.records import Skipped, file_sha256
from egolib.report.results import Similarity, identity
from egolib.report.source import show as show
from egolib.runs import inputs
from egolib.runs.result_cache import ResultCache, cache_key
from egolib.runs.shards import end_of_part, is_part, own_part
from egolib.runs.step import Step
from egolib.video import VideoReader
from egolib.vlp.api import VideoLanguage, load
from egolib.vlp.benchmarks import egotaskqa, qfvs
from egolib.vlp.benchmarks.scores import charades_scores, egomcq_scores, epic_similarity, rerank
from egolib.vlp.config import Benchmark, Config
from egolib.vlp.data.clips import stream_views
from egolib.vlp.data.egotaskqa import VIDEOS, video_file
from egolib.vlp.data.retrieval import epic_clips
from egolib.vlp.data.reversal import OppositeClip
from egolib.vlp.data.training import frame_source
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos, EpicVideos
from egolib.vlp.data.vocabulary import FILES as VOCABULARIES
from egolib.vlp.data.vocabulary import fitting, read_vocabulary
from egolib.vlp.features.annotated_clips import clip_store, moment_store, question_stores
from egolib.vlp.formats import submission
from egolib.vlp.losses.similarity import cosine_similarity as cosine_similarity
from egolib.vlp.models.question_answering import QuestionAnsweringModel
from egolib.vlp.steps.evaluate import VIEWS, Truth, read_truth

if TYPE_CHECKING:
    import pandas as pd

ONE_FRAME = "one_frame"
CACHE = "result_cache"  #: the folder of finished scores in that of ``3_infer``
FEATURES = {"moments": moment_store, "clips": clip_store, "questions": question_stores}
RERANKED = "epic_reranked"
LOGITS = ("egotaskqa", "qfvs")  # scores without a bound
HIGHEST = 4.0  # a similarity, the probability of a match and what puts candidates in front


@dataclass
class Predictions:
    """What a step wrote.

    Args:
        model: the network that computed it.
        files: by benchmark: a score file, or a folder of features.
        skipped: clips and videos that could not be read.
    """

    model: VideoLanguage
    files: dict[str, Path] = field(default_factory=dict)
    skipped: Skipped = field(default_factory=Skipped)

    def score_files(self) -> dict[str, Path]:
        """The score files among them, by benchmark."""
        return {name: file for name, file in self.files.items() if name not in FEATURES}


@in_precision_of_infer
def predict(step: Step[Config]) -> Predictions:
    """Scores and features of every benchmark of the configuration.

    Scores are kept in the result cache, by benchmark: what they rest on decides whether they
    are computed again. Features are kept clip by clip.
    """
    found, truth = Predictions(load_model(step)), read_truth(step)
    scored = [name for name in step.config.infer.benchmarks if name not in FEATURES]
    own = own_part(scored)
    for name in step.config.infer.benchmarks:
        if name in FEATURES:  # clip by clip
            found.files[name] = write_features(step, found.model, name, found.skipped)
            continue
        if name not in own:
            continue
        arrays = cached_scores(step, found.model, name, truth, found.skipped)
        if is_part():
            continue
        again = {k: arrays.pop(f"reranked_{k}", None) for k in ("similarity", "by_text")}
        found.files[name] = submission.write(step.out / f"{name}.npz", arrays)
        reranked = step.out / f"{RERANKED}.npz"
        if again["similarity"] is not None:
            found.files[RERANKED] = submission.write(reranked, again)
        elif name == "epic":
            reranked.unlink(missing_ok=True)
    end_of_part()
    return found


# ------------------------------------------------------------------------------ weights


def weights_file(step: Step[Config]) -> Path:
    """A training's weights by name, or the checkpoint that the input ``model`` itself is.

    Raises:
        EgolibError: the training did not write them.
    """
    return inputs.weights_file(step.input("model"), step.config.infer.weights)


def load_model(step: Step[Config]) -> VideoLanguage:
    """The trained network of a step, with its vocabulary.

    Raises:
        EgolibError: the weights, or their vocabulary, are not there or do not fit, or there is
            no such device.
    """
    infer, data, file = step.config.infer, step.config.data, weights_file(step)
    beside = any((file.parent / name).is_file() for name in VOCABULARIES)
    like = step.config.model
    if not beside and like.vocabulary_size == 0:
        like = fitting(like, read_vocabulary(data, step.data_root))
    return load(
        file,
        tokenizer=None if beside else step.data_root / data.vocabulary,
        frames=infer.frames or None,
        device=infer.device,
        batch_size=infer.batch_size,
        like=like,
    )


# ------------------------------------------------------------------------------- cache


def cached_scores(
    step: Step[Config], model: VideoLanguage, name: Benchmark, truth: Truth, skipped: Skipped
) -> dict[str, np.ndarray | None]:
    """The score arrays of one benchmark, from the result cache where they are there.

    Args:
        step: its configuration.
        model: the network.
        name: of the benchmark.
        truth: annotations.
        skipped: gets the clips that could not be read; the cache keeps them too.
    """
    cache = ResultCache(step.out / CACHE / name, score_key(step, name))
    arrays, lost = cache.get(name), cache.get_json(name)
    if arrays is None or lost is None:
        own = Skipped()
        computed = scores_of(step, model, name, truth, own)
        arrays = {k: v for k, v in computed.items() if v is not None}
        cache.put(name, **arrays)
        lost = {str(record): str(why) for record, why in own.reasons.items()}
        cache.put_json(name, lost)
        cache.remove_others()
    for record, why in lost.items():
        skipped.add(record, why)
    return dict(arrays)


def score_key(step: Step[Config], name: Benchmark) -> dict[str, Any]:
    """Everything that the scores of a benchmark rest on."""
    infer, config = step.config.infer, step.config
    settings: dict[str, Any] = {
        "data": to_tree(config.data),
        "data_root": str(step.data_root),
        "annotations": identity(step.inputs["data"]) if "data" in step.inputs else "",
        "frames": infer.frames,
        "batch_size": infer.batch_size,
        "device": infer.device,
        "precision": infer.precision,
        "matmul_precision": infer.matmul_precision,
    }
    own: dict[str, dict[str, Any]] = {
        "egomcq": {"fusion": infer.fusion},
        "epic": {"rerank": infer.rerank},
        "charades": {"class_text": config.evaluate.class_text},
        "egotaskqa": {"question_frames": infer.question_frames, "seed": infer.seed},
    }
    settings |= {"benchmark": name, **own.get(name, {})}
    return cache_key(step.task, weights=[file_sha256(weights_file(step))], **settings)


# ------------------------------------------------------------------------------- scores


def scores_of(
    step: Step[Config],
    model: VideoLanguage,
    name: Benchmark,
    truth: Truth,
    skipped: Skipped | None = None,
) -> dict[str, np.ndarray | None]:
    """The score arrays of one benchmark; see ``egolib.vlp.formats.submission``.

    Args:
        step: its configuration.
        model: the network.
        name: of the benchmark.
        truth: annotations.
        skipped: gets the clips that could not be read.
    """
    makers = {
        "egomcq": _egomcq,
        "reversal": _reversal,
        "epic": _epic,
        "charades": _charades,
        "egotaskqa": _egotaskqa,
        "qfvs": _qfvs,
    }
    if name not in makers:
        raise EgolibError(f"{name!r} is no scored benchmark")
    skipped = Skipped() if skipped is None else skipped
    return makers[name](step, model.seeing(VIEWS[name]), truth, skipped)


Arrays = dict[str, np.ndarray | None]


def _egomcq(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    infer, videos = step.config.infer, egoclip_videos(step)
    dual, fusion = egomcq_scores(
        model,
        truth.questions,
        videos,
        fusion=infer.fusion,
        skipped=skipped,
        workers=infer.workers,
    )
    return {"dual": dual, "fusion": fusion}


def _epic(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    infer, split = step.config.infer, truth.epic
    videos = EpicVideos(step.data_root, step.config.data, frame_source(step))
    similarity = epic_similarity(model, split, videos, skipped=skipped, workers=infer.workers)
    if not infer.rerank:
        return {"similarity": similarity}
    views = epic_clips(split.clips, videos, model.view, workers=infer.workers)
    texts = split.sentences.narrations
    by_clip, by_text = rerank(model, similarity, views, texts, infer.rerank)
    return {"similarity": similarity, "reranked_similarity": by_clip, "reranked_by_text": by_text}


def _charades(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    names = [video.video for video in truth.charades]
    videos = CharadesVideos(step.data_root, step.config.data)
    workers = step.config.infer.workers
    found = charades_scores(model, names, truth.classes, videos, skipped=skipped, workers=workers)
    return {"scores": found}


def _egotaskqa(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    network, words = model.model, model.tokenizer
    if not isinstance(network, QuestionAnsweringModel) or words is None:
        raise EgolibError("these weights answer no questions", remedy="train on EgoTaskQA")
    return {"answers": egotaskqa.answer_scores(step, network, words)}


def _qfvs(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    if model.summarizer is None or model.tokenizer is None:
        raise EgolibError("these weights summarise nothing", remedy="train on QFVS")
    file, network = weights_file(step), model.summarizer.model
    return dict(qfvs.shot_scores(step, file, network, model.tokenizer))


@torch.inference_mode()
def _reversal(step: Step[Config], model: VideoLanguage, truth: Truth, skipped: Skipped) -> Arrays:
    """By way to show the frames, (N, 2) cosines with the right and with the opposite text."""
    clips, videos = truth.opposites, egoclip_videos(step)
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
        "shuffled": [view[order] for view, order in zip(views, orders, strict=True)],
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
    with torch.autocast("cpu", enabled=False):  # cosines stay float32
        return (texts @ video[:, :, None])[..., 0].numpy()


def egoclip_videos(step: Step[Config]) -> EgoClipVideos:
    """The clips of EgoClip and EgoMCQ."""
    return EgoClipVideos(step.data_root, step.config.data, frame_source(step))


# ----------------------------------------------------------------------------- features


def write_features(step: Step[Config], model: VideoLanguage, name: str, skipped: Skipped) -> Path:
    """EgoMQ features, the store of the NLQ clips, or those of their questions; returns the folder.

    Args:
        step: its configuration.
        model: the network.
        name: ``moments``, ``clips`` or ``questions``.
        skipped: gets the clips that could not be read.
    """
    file = weights_file(step)
    ours = file.name == "model.safetensors" and file.parent.name == "train"
    label = f"vlp/{file.parents[2].name} {step.preset}" if ours else file.name
    folder, lost = FEATURES[name](step, model.seeing(VIEWS[name]), label, file_sha256(file))
    for record, why in lost.reasons.items():
        skipped.add(record, why)
    return folder


# ------------------------------------------------------------------------------- looking


def example(step: Step[Config], predictions: Predictions) -> tuple[Path, Similarity] | None:
    """A video and how similar texts are to it over time.

    With EgoMCQ a video of its first question, and the texts of four of its clips; without
    it the first EPIC-KITCHENS or Charades-Ego video, and texts of that benchmark.

    Returns:
        None where no benchmark has a video here.
    """
    truth, model = read_truth(step), predictions.model.seeing("ego4d")
    finders = (_egomcq_example, _epic_example, _charades_example, _question_example)
    for find in finders:
        try:
            path, texts = find(step, truth)
        except EgolibError:
            continue
        if path.is_file() and texts:
            reader = VideoReader(path, step.config.data.backend)
            return path, model.similarity(reader, texts)
    return None


def _egomcq_example(step: Step[Config], truth: Truth) -> tuple[Path, list[str]]:
    choices = [c for q in truth.questions for c in q.choices]
    first = choices[0].video_uid if choices else ""
    chosen = {c.text: c for c in choices if c.video_uid == first}
    clips = sorted(chosen.values(), key=lambda c: c.start_sec)
    texts = [c.text for c in clips[:: max(1, len(clips) // 4)]][:4]
    return egoclip_videos(step).folder / first / "0.mp4", texts


def _epic_example(step: Step[Config], truth: Truth) -> tuple[Path, list[str]]:
    clips = truth.epic.clips
    texts = dict.fromkeys(
        t for t, v in zip(clips.narrations, clips.video_ids, strict=True) if v == clips.video_ids[0]
    )
    return EpicVideos(step.data_root).folder / clips.video(0), list(texts)[:4]


def _question_example(step: Step[Config], truth: Truth) -> tuple[Path, list[str]]:
    asked = truth.answered.parts["test"]
    first = asked[0].interval if asked else ""
    texts = dict.fromkeys(question.text for question in asked if question.interval == first)
    return video_file(step.data_root / VIDEOS, first), list(texts)[:4]


def _charades_example(step: Step[Config], truth: Truth) -> tuple[Path, list[str]]:
    first = next((v for v in truth.charades if v.classes), None)
    if first is None:
        raise EgolibError("no video has an action")
    videos = CharadesVideos(step.data_root, step.config.data)
    return videos.folder / f"{first.video}.mp4", [truth.classes[c] for c in first.classes][:4]


def table(predictions: Predictions) -> pd.DataFrame:
    """Shape and spread of every array of scores."""
    import pandas as pd

    rows = {}
    for benchmark, file in predictions.score_files().items():
        for name, array in submission.read(file).items():
            about = {"shape": str(array.shape), "mean": array.mean(), "deviation": array.std()}
            rows[f"{benchmark}, {name}"] = about | {"lowest": array.min(), "highest": array.max()}
    return pd.DataFrame(rows).T.infer_objects()


def check(step: Step[Config], predictions: Predictions) -> None:
    """Raises where the outcome is impossible.

    Raises:
        EgolibError: scores that are not finite or beyond what cosines and probabilities can
            add up to, or clips of the built-in world that could not be read.
    """
    for benchmark, file in predictions.score_files().items():
        arrays = submission.read(file)
        submission.check(arrays, benchmark, file=file)
        bounded = benchmark not in LOGITS
        highest = HIGHEST if bounded else float("inf")
        if not all(array.size and abs(array).max() <= highest for array in arrays.values()):
            raise EgolibError(f"no scores, or beyond {HIGHEST}", file=file)
    if predictions.skipped and step.preset != "paper":
        raise EgolibError(f"clips that could not be read: {predictions.skipped.summary()}")


def metrics(predictions: Predictions) -> dict[str, Any]:
    """Numbers for ``result.json``."""
    return {"benchmarks": len(predictions.files), "skipped": len(predictions.skipped)}


def counts(predictions: Predictions) -> dict[str, str]:
    """The names of files and folders, by benchmark, for ``result.json``."""
    return {name: file.name for name, file in predictions.files.items()}
