"""Features of clips that know the question, and token states: what EgoNLQ's heads read.

Legend: Q questions about one clip, W windows, D width of the video encoder, L tokens,
C width of the text encoder, B windows computed at once, F frames of a window.

A window is F consecutively sampled frames, at 1.87 windows a second without overlap; its
feature is the class token of the fused path with the question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.features import FeatureWriter, Provenance
from egolib.io.records import Skipped, read_json
from egolib.io.schema import validated
from egolib.nn.text_encoder import attention_bias
from egolib.progress import track
from egolib.text.tokens import encode
from egolib.video import VideoReader, check_backend
from egolib.vlp.api import VideoLanguage
from egolib.vlp.data.moments import MomentClip
from egolib.vlp.data.schema import PreparedQuestions
from egolib.vlp.features.videos import ASSUMED_FPS, windows_of
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.models.video import VideoBlock

QUESTION_TOKENS = 30
STORES = ("video", "text", "mask")

Questions = dict[str, str]


@dataclass(frozen=True)
class QuestionFeatures:
    """What the heads read of some questions about one clip.

    Args:
        video: (Q, W, D) float32, class tokens of the fused path.
        text: (Q, L, C) float32, last states of the text encoder alone, the padding's too.
        mask: (Q, L) bool, true at tokens.
    """

    video: np.ndarray
    text: np.ndarray
    mask: np.ndarray


@torch.inference_mode()
def question_features(
    model: VideoLanguage,
    views: Iterable[Tensor],
    questions: Sequence[str],
    tokens: int = QUESTION_TOKENS,
) -> QuestionFeatures:
    """Features of one clip for several questions.

    The blocks before the fusion do not depend on the question and are computed once a
    window; after the last block's attention only the class token is. Official behaviour:
    everything once a window and question, with equal outputs.

    Args:
        model: with its vocabulary.
        views: batches (B, F, 3, S, S) of the clip's windows, on the model's device.
        questions: Q texts; they are stripped and made lower case.
        tokens: length L that each is padded or cut to.

    Raises:
        EgolibError: no vocabulary was loaded.
    """
    network = model.model
    ids, mask = _tokens(model, questions, tokens)
    text = network.text(ids, mask).float().cpu().numpy()
    starts = network.text_prefix(ids, mask)  # Q L C
    parts: list[list[np.ndarray]] = [[] for _ in questions]
    for view in views:
        prefix = network.video_prefix(view)  # B N D
        for part, start, allowed in zip(parts, starts, mask, strict=True):
            asked = start.expand(len(prefix), -1, -1)  # B L C
            found = fused_class(network, prefix, asked, attention_bias(allowed[None]))
            part.append(found.float().cpu().numpy())
    empty = np.zeros((0, network.config.width), np.float32)
    video = np.stack([np.concatenate([empty, *part]) for part in parts])
    return QuestionFeatures(video, text, mask.cpu().numpy() > 0)


def fused_class(network: VideoLanguageModel, video: Tensor, text: Tensor, bias: Tensor) -> Tensor:
    """Class tokens (B, D) of ``VideoLanguageModel.fuse``, without what they do not need.

    Args:
        network: the model.
        video: (B, N, D), see ``video_prefix``.
        text: (B, L, C), see ``text_prefix``.
        bias: (1 or B, 1, 1, L) on attention scores over tokens.
    """
    count = network.config.fusion_depth
    *blocks, last = network.video.blocks[-count:]
    for block, layer in zip(blocks, network.text.layers[-count:-1], strict=True):
        video, text = (
            network.video.run_block(block, video, text, bias),
            network.text.run_layer(layer, text, bias, video),
        )
    assert isinstance(last, VideoBlock)
    token: Tensor = network.fusion_norm(_last_class(last, video, text, bias)[:, 0])
    return token


def _last_class(block: VideoBlock, video: Tensor, text: Tensor, bias: Tensor) -> Tensor:
    """The class token (B, 1, D) after a block; it reads all patches, which end here."""
    assert block.cross is not None
    space = block.space_attention
    normed = block.space_norm(video + block.time_attention(block.time_norm(video)))
    query, key, value = (
        space.qkv(normed).unflatten(-1, (3, space.heads, -1)).permute(2, 0, 3, 1, 4)
    )  # B H N E each
    seen = F.scaled_dot_product_attention(query[:, :, :1], key, value)  # B H 1 E
    change = space.out(seen.transpose(1, 2).flatten(2))
    change = change + block.cross_gate * block.cross(change, text, bias)
    token = video[:, :1] + change
    changed: Tensor = token + block.mlp(block.mlp_norm(token))
    return changed


def _tokens(model: VideoLanguage, questions: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    if model.tokenizer is None:
        raise EgolibError(
            "no vocabulary was loaded",
            remedy="load(..., tokenizer=FOLDER) with RoBERTa's vocab.json and merges.txt",
        )
    texts = [question.strip().lower() for question in questions]
    ids, mask = encode(model.tokenizer, texts, length, pad=True)
    return torch.from_numpy(ids).to(model.device), torch.from_numpy(mask).to(model.device)


def read_questions(path: str | Path) -> dict[str, Questions]:
    """Clip uid -> query id -> question, from an official prepared file.

    These are ``train.json``, ``val.json`` and ``test.json`` of Ego4D's VSLNet, which nlq
    writes too; a query id is ``"{annotation_uid}_{index}"``.

    Raises:
        EgolibError: a field is missing, or a clip's lists differ in length.
    """
    found: dict[str, Questions] = {}
    fields = ("sentences", "annotation_uids", "query_idx")
    content = validated(dict[str, PreparedQuestions], read_json(path, dict), file=path)
    for uid, clip in content.items():
        sentences, annotations, indices = (clip[field] for field in fields)
        if not len(sentences) == len(annotations) == len(indices):
            raise EgolibError("the clip's lists differ in length", file=path, record=uid)
        rows = zip(annotations, indices, sentences, strict=True)
        found[uid] = {f"{annotation}_{index}": text for annotation, index, text in rows}
    return found


def extract_questions(
    model: VideoLanguage,
    clips: Sequence[MomentClip],
    questions: Mapping[str, Questions],
    videos: str | Path,
    out: str | Path,
    *,
    about: Provenance,
    fps: float | None = ASSUMED_FPS,
    backend: str = "av",
) -> Skipped:
    """Three feature stores by query id; finished questions are kept.

    Args:
        model: with its vocabulary.
        clips: stretches of videos; those without questions are passed over.
        questions: of each clip, see ``read_questions``.
        videos: folder with ``<video_uid>.mp4``.
        out: folder; the stores ``video`` (W, D), ``text`` (L, C) and ``mask`` (L, 1), 1
            at tokens, are made in it.
        about: what the video features are, see ``features.provenance``; its width is
            replaced.
        fps: rate that is assumed, whatever the files say; None goes by their frame index.
        backend: what decodes; see ``egolib.video.VideoReader``.

    Returns:
        Clips that cannot be read, and why.

    Raises:
        EgolibError: the back end is not installed.
    """
    backend = check_backend(backend)
    config, skipped = model.model.config, Skipped()
    plain = replace(about, kind="text", fps=None, stride_frames=None, window_frames=None)
    kinds = (
        replace(about, width=config.width),
        replace(plain, width=config.text_width),
        replace(plain, width=1),
    )
    stores = zip(STORES, kinds, strict=True)
    writers = [FeatureWriter(Path(out) / name, kind) for name, kind in stores]
    for clip in track(clips, "question features", unit="clip"):
        asked = questions.get(clip.clip_uid, {})
        left = {uid: q for uid, q in asked.items() if not all(w.has(uid) for w in writers)}
        if not left:
            continue
        try:
            with VideoReader(Path(videos) / f"{clip.video_uid}.mp4", backend) as video:
                found = _of_clip(model, clip, list(left.values()), video, fps)
        except EgolibError as error:
            skipped.add(clip.clip_uid, error)
            continue
        for row, uid in enumerate(left):
            arrays = (found.video[row], found.text[row], found.mask[row, :, None])
            for writer, array in zip(writers, arrays, strict=True):
                writer.write(uid, array.astype(np.float32))
    return skipped


def _of_clip(
    model: VideoLanguage,
    clip: MomentClip,
    questions: list[str],
    video: VideoReader,
    fps: float | None,
) -> QuestionFeatures:
    windows = windows_of(video, clip, model.view.frames, fps)
    if len(windows) == 0:
        raise EgolibError("the stretch is shorter than a window")
    views = model.batches(model.view.test(video.batch(window)) for window in windows)
    return question_features(model, views, questions)
