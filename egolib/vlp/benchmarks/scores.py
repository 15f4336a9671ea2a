"""Scores that the benchmarks are evaluated with: how well texts and clips fit.

Legend: Q questions, K choices, C clips, S sentences, N videos, B batch.

Only scores are made here; ``egolib.metrics`` evaluates them. What does not depend on the
other side (embeddings, unfused prefixes) is computed once for each clip and text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from egolib.io.records import Skipped
from egolib.progress import track
from egolib.vlp.api import VideoLanguage
from egolib.vlp.data.clips import stream_views
from egolib.vlp.data.egoclip import Choice, Question
from egolib.vlp.data.epic import EpicSplit
from egolib.vlp.data.retrieval import charades_clips, epic_clips
from egolib.vlp.data.videos import CharadesVideos, EgoClipVideos, EpicVideos
from egolib.vlp.losses.similarity import cosine_similarity

ClipKey = tuple[str, float, float]


@dataclass(frozen=True)
class EncodedText:
    """A text's mask (1, L), embedding (1, P) and unfused states (1, L, width)."""

    mask: Tensor
    embedding: Tensor
    prefix: Tensor


@dataclass(frozen=True)
class EncodedClip:
    """A clip's embedding (1, P), and unfused tokens (1, tokens, width) where they are needed."""

    embedding: Tensor
    prefix: Tensor | None


# ---------------------------------------------------------------------------- EgoMCQ


@torch.inference_mode()
def egomcq_scores(
    model: VideoLanguage,
    questions: Sequence[Question],
    videos: EgoClipVideos,
    *,
    fusion: bool = True,
    skipped: Skipped | None = None,
    workers: int = 0,
    cache_bytes: int = 1 << 30,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Cosines (Q, K) of question and choices, and probabilities (Q, K) of a match.

    Clips that several questions ask about are read and encoded once, as long as they
    fit into the cache.

    Args:
        model: the network with its vocabulary.
        questions: Q.
        videos: their clips' frames.
        fusion: ask the matching head too; without it the second array is None.
        skipped: gets the clips that cannot be read; they are black, matching the official code.
        workers: processes that read ahead.
        cache_bytes: memory for encoded clips.
    """
    choices = [[_key(choice) for choice in question.choices] for question in questions]
    plan = plan_loads(choices, cache_bytes // _bytes_of_a_clip(model, fusion))
    keys = [key for step in plan for key in step.load]
    reads = [partial(videos.images, *key, model.view.frames) for key in keys]
    names = ["{}, {} to {} s".format(*key) for key in keys]
    views = stream_views(reads, names, model.view, skipped=skipped, workers=workers)
    cache: dict[ClipKey, EncodedClip] = {}
    dual, match = [], []
    steps = list(zip(questions, choices, plan, strict=True))
    for question, wanted, step in track(steps, "EgoMCQ", unit="question"):
        fresh = encode_clips(model, list(islice(views, len(step.load))), fusion)
        cache |= dict(zip(step.load, fresh, strict=True))
        text = encode_text(model, question.text)
        clips = [cache[key] for key in wanted]
        embeddings = torch.cat([clip.embedding for clip in clips])
        dual.append(cosine_similarity(text.embedding, embeddings)[0].cpu().numpy())
        if fusion:
            match.append(match_probabilities(model, [text] * len(clips), clips))
        for key in step.drop:
            del cache[key]
    shape = (len(questions), -1 if questions else 5)
    return np.array(dual).reshape(shape), np.array(match).reshape(shape) if fusion else None


@dataclass(frozen=True)
class LoadStep:
    """The clips that one question has to have loaded, and those to forget after it."""

    load: list[ClipKey]
    drop: list[ClipKey]


def plan_loads(questions: Sequence[Sequence[ClipKey]], limit: int) -> list[LoadStep]:
    """What to load and to forget when the ``limit`` clips used last are kept.

    >>> a, b = ("a", 0.0, 1.0), ("b", 0.0, 1.0)
    >>> [len(step.load) for step in plan_loads([[a, b], [b], [a]], limit=1)]
    [2, 0, 1]
    """
    recent: OrderedDict[ClipKey, None] = OrderedDict()
    steps = []
    for keys in questions:
        load = [key for key in dict.fromkeys(keys) if key not in recent]
        for key in keys:
            recent[key] = None
            recent.move_to_end(key)
        drop = [recent.popitem(last=False)[0] for _ in range(len(recent) - max(limit, 0))]
        steps.append(LoadStep(load, drop))
    return steps


def _key(choice: Choice) -> ClipKey:
    return choice.video_uid, choice.start_sec, choice.end_sec


def _bytes_of_a_clip(model: VideoLanguage, fusion: bool) -> int:
    config = model.model.config
    prefix = (1 + config.frames * config.patches) * config.width if fusion else 0
    return 4 * (config.projection_width + prefix)


def encode_text(model: VideoLanguage, text: str) -> EncodedText:
    """One text's embedding and prefix."""
    ids, mask = next(model.token_batches([text]))
    network = model.model
    return EncodedText(mask, network.encode_text(ids, mask).float(), network.text_prefix(ids, mask))


def match_probabilities(
    model: VideoLanguage, texts: Sequence[EncodedText], clips: Sequence[EncodedClip]
) -> np.ndarray:
    """(pairs,) probabilities that text i and clip i belong together.

    Pairs are computed in batches of equally long texts, so that nothing is padded.

    Args:
        model: the network.
        texts: encoded, one a pair.
        clips: encoded with their prefixes, one a pair.
    """
    result = np.zeros(len(texts), np.float32)
    by_length: dict[int, list[int]] = {}
    for i, text in enumerate(texts):
        by_length.setdefault(text.mask.shape[1], []).append(i)
    network = model.model
    for rows in by_length.values():
        for start in range(0, len(rows), model.batch_size):
            part = rows[start : start + model.batch_size]
            video = torch.cat([clips[i].prefix for i in part])  # type: ignore[misc]
            prefix = torch.cat([texts[i].prefix for i in part])
            mask = torch.cat([texts[i].mask for i in part])
            logits = network.itm_logits(network.fuse(video, prefix, mask)).float()
            result[part] = logits.softmax(-1)[:, 1].cpu().numpy()
    return result


def encode_clips(model: VideoLanguage, views: Sequence[Tensor], fusion: bool) -> list[EncodedClip]:
    """Embeddings of views (F, 3, S, S), and prefixes where they will be fused.

    Args:
        model: the network.
        views: of clips.
        fusion: whether they will be fused.
    """
    found = []
    for video in model.batches(iter(views)):
        embeddings = model.model.encode_video(video).float()
        prefixes = model.model.video_prefix(video) if fusion else None
        for i in range(len(video)):
            prefix = None if prefixes is None else prefixes[i : i + 1].clone()
            found.append(EncodedClip(embeddings[i : i + 1], prefix))
    return found


# ------------------------------------------------------------------------- retrieval


@torch.inference_mode()
def epic_similarity(
    model: VideoLanguage,
    split: EpicSplit,
    videos: EpicVideos,
    *,
    skipped: Skipped | None = None,
    workers: int = 0,
) -> np.ndarray:
    """(C, S) float32 similarities between 0 and 1 of clips and sentences: (cosine + 1) / 2.

    Args:
        model: the network with its vocabulary.
        split: C clips and S sentences.
        videos: the clips' frames.
        skipped: gets the clips that cannot be read; they are black.
        workers: processes that read ahead.
    """
    views = epic_clips(split.clips, videos, model.view, skipped=skipped, workers=workers)
    clips = _embed_views(model, views, len(split.clips))
    return (_against(model, clips, split.sentences.narrations) + 1) / 2


@torch.inference_mode()
def charades_scores(
    model: VideoLanguage,
    names: Sequence[str],
    classes: Sequence[str],
    videos: CharadesVideos,
    *,
    skipped: Skipped | None = None,
    workers: int = 0,
) -> np.ndarray:
    """(N, classes) float32 cosines of whole videos and class texts; there is no template.

    Args:
        model: the network with its vocabulary.
        names: of N videos.
        classes: texts.
        videos: their frames.
        skipped: gets the videos that cannot be read; they are black.
        workers: processes that read ahead.
    """
    views = charades_clips(names, videos, model.view, skipped=skipped, workers=workers)
    return _against(model, _embed_views(model, views, len(names)), classes)


def _embed_views(model: VideoLanguage, views: Iterator[Tensor], total: int) -> np.ndarray:
    shown = track(views, "clips", total=total, unit="clip")
    return model.rows([model.model.encode_video(v).float().cpu() for v in model.batches(shown)])


def _against(model: VideoLanguage, clips: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """(clips, texts) cosines; each different text is embedded once."""
    unique = list(dict.fromkeys(texts))
    place = {text: i for i, text in enumerate(unique)}
    embedded = torch.from_numpy(model.embed_text(unique))[[place[text] for text in texts]]
    return cosine_similarity(torch.from_numpy(clips), embedded).numpy()


# ------------------------------------------------------------------------ re-ranking


@torch.inference_mode()
def rerank(
    model: VideoLanguage,
    similarity: np.ndarray,
    views: Iterator[Tensor],
    texts: Sequence[str],
    top: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (C, S) of both directions, the best candidates scored by the matching head.

    Each clip's ``top`` sentences, and each sentence's ``top`` clips, get their
    similarity plus the probability of a match, and stay in front of all others. One
    pass over the clips serves both directions.

    Args:
        model: the network with its vocabulary.
        similarity: (C, S), between 0 and 1.
        views: the clips' input, in order.
        texts: S sentences.
        top: candidates of each clip and each sentence.

    Returns:
        The matrix for ranking sentences by clip, and the one for ranking clips by sentence.
    """
    by_clip = _candidates(similarity, top)
    by_text = _candidates(similarity.T, top).T
    encoded = {text: encode_text(model, text) for text in dict.fromkeys(texts)}
    probabilities = np.zeros_like(similarity)
    for row, view in enumerate(track(views, "re-ranking", total=len(similarity), unit="clip")):
        columns = np.flatnonzero(by_clip[row] | by_text[row])
        if len(columns):
            (clip,) = encode_clips(model, [view], fusion=True)
            pairs = [encoded[texts[column]] for column in columns.tolist()]
            found = match_probabilities(model, pairs, [clip] * len(columns))
            probabilities[row, columns] = found
    in_front = 2.0  # more than any similarity plus probability of the others can be
    return (
        similarity + by_clip * (probabilities + in_front),
        similarity + by_text * (probabilities + in_front),
    )


def _candidates(similarity: np.ndarray, top: int) -> np.ndarray:
    """(C, S) bool: the ``top`` highest entries of each row."""
    chosen = np.zeros(similarity.shape, bool)
    if top > 0:
        columns = np.argsort(-similarity, 1, kind="stable")[:, :top]
        np.put_along_axis(chosen, columns, True, 1)
    return chosen
