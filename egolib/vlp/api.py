"""Embeddings of any video and any text, and how similar they are.

Legend: N stretches or texts, P embedding width, F frames, S side of the input,
W windows, L tokens.

``load`` gives a ``VideoLanguage`` with the verbs ``embed_video``, ``embed_text`` and
``similarity``; with weights of a training on EgoTaskQA or QFVS ``answer`` or ``summarise``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from egolib.config import to_tree
from egolib.engine.device import resolve_device
from egolib.errors import EgolibError, nearest
from egolib.io import checkpoint
from egolib.io.provenance import Provenance
from egolib.io.records import file_sha256
from egolib.report.results import Moments, Similarity
from egolib.runs.inputs import Told, locate, weights_file, who
from egolib.text.tokens import Tokenizer, encode
from egolib.video import VideoReader
from egolib.vlp.config import ModelConfig
from egolib.vlp.data.clips import View
from egolib.vlp.data.readers import Video, frames_on_screen, moment_frames_on_screen
from egolib.vlp.data.sampling import WINDOWS_PER_SEC, moment_frames
from egolib.vlp.data.transforms import Test
from egolib.vlp.formats.checkpoint import model_name
from egolib.vlp.formats.loading import backbone_file, find_tokenizer, read_model
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.model import VideoLanguageModel
from egolib.vlp.models.question_answering import QuestionAnsweringModel
from egolib.vlp.summarization.selection import FRACTION, best_shots
from egolib.vlp.summarization.videos import VideoSummarizer, read_summarizer

Stretch = tuple[float, float]
Scores = Literal["dual", "fusion", "ensemble"]

log = logging.getLogger(__name__)


class VideoLanguage(Told):
    """A model with everything that turns files and strings into its input.

    Args:
        model: the network; it is put into evaluation mode.
        tokenizer: texts to ids; None where only videos are embedded.
        device: where to compute: ``auto``, ``cpu``, ``cuda`` ...
        view: how pictures become input, ``ego4d`` or ``epic``.
        batch_size: stretches and texts that are computed at once.

    Raises:
        EgolibError: a vocabulary of another size, or a device that this machine lacks.
    """

    def __init__(
        self,
        model: VideoLanguageModel,
        tokenizer: Tokenizer | None = None,
        *,
        device: str | torch.device = "cpu",
        view: Test = "ego4d",
        batch_size: int = 8,
    ):
        if tokenizer is not None and tokenizer.size > model.config.vocabulary_size:
            raise EgolibError(
                f"a vocabulary of {tokenizer.size} tokens for a model of "
                f"{model.config.vocabulary_size}",
                remedy="use the vocabulary that the model was trained with",
            )
        self.device = resolve_device(str(device))
        self.model = model.to(self.device).eval()
        self.tokenizer, self.batch_size = tokenizer, batch_size
        self.view = View(model.config.frames, model.config.image_size, view)
        self.file: Path | None = None  # of all its weights
        self.answers: list[str] = []  # of a network that was trained on EgoTaskQA
        self.summarizer: VideoSummarizer | None = None  # of one that was trained on QFVS

    def seeing(self, view: Test) -> VideoLanguage:
        """The same model, to which pictures are shown in another way (``ego4d``, ``epic``)."""
        other = copy(self)
        other.view = replace(self.view, kind=view)
        return other

    # ---------------------------------------------------------------------- verbs

    @torch.inference_mode()
    def embed_video(
        self, video: str | Path | Video, stretches: Sequence[Stretch] | None = None
    ) -> np.ndarray:
        """Embeddings (N, P) float32 of stretches of a video; of the whole one by default.

        Args:
            video: a file, or a reader.
            stretches: (start, end) in seconds each. The frames on screen in the middle of
                F equal parts are taken.
        """
        views = self._views(video, stretches)
        return self.rows([self.model.encode_video(v).float().cpu() for v in views])

    @torch.inference_mode()
    def embed_text(self, texts: str | Sequence[str]) -> np.ndarray:
        """Embeddings (N, P) float32 of texts; a string is one text."""
        texts = _as_texts(texts)
        self._tell_unknown_words(texts)
        parts = [self.model.encode_text(*t).float().cpu() for t in self.token_batches(texts)]
        return self.rows(parts)

    @torch.inference_mode()
    def similarity(
        self,
        video: str | Path | VideoReader,
        texts: str | Sequence[str],
        *,
        scores: Scores = "dual",
        window_sec: float = 2.0,
        stride_sec: float = 1.0,
    ) -> Similarity:
        """How well each text describes a video, as a whole and over time.

        Args:
            video: a file, or a reader.
            texts: N strings; a single string is one text.
            scores: ``dual`` compares embeddings (cosine), ``fusion`` asks the matching
                head (probability), ``ensemble`` adds both. The curve is always dual.
            window_sec: length of the curve's windows.
            stride_sec: their distance.

        Raises:
            EgolibError: no text, no such kind of score, or windows of no length.
        """
        texts = _as_texts(texts)
        if not texts:
            raise EgolibError("no text to compare with")
        if scores not in get_args(Scores):
            raise EgolibError(f"no scores {scores!r}", remedy=nearest(scores, get_args(Scores)))
        if not (window_sec > 0 and stride_sec > 0):
            raise EgolibError(f"windows of {window_sec} s every {stride_sec} s")
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        windows = _windows(reader.duration_sec, window_sec, stride_sec)
        text = torch.from_numpy(self.embed_text(texts))
        whole = torch.from_numpy(self.embed_video(reader))
        curve = cosine_similarity(torch.from_numpy(self.embed_video(reader, windows)), text)
        total = np.zeros(len(texts))
        if scores != "fusion":
            total += cosine_similarity(whole, text)[0].numpy()
        if scores != "dual":
            total += self._match(reader, texts)
        centres = np.array([(start + end) / 2 for start, end in windows])
        return Similarity(tuple(texts), total, curve.numpy(), centres)

    @torch.inference_mode()
    def answer(
        self, video: str | Path | Video, question: str, *, stretch: Stretch | None = None
    ) -> list[tuple[str, float]]:
        """All answers to a question about a video with their probabilities, best first.

        Args:
            video: a file, or a reader.
            question: for instance ``What did I do to the mug?``.
            stretch: (start, end) in seconds; the whole video if None.

        Raises:
            EgolibError: the weights were not trained to answer questions.
        """
        if not isinstance(self.model, QuestionAnsweringModel):
            raise EgolibError(
                "these weights answer no questions", remedy="load a training on EgoTaskQA"
            )
        (clip,) = self._views(video, None if stretch is None else [stretch])
        ids, mask = next(self.token_batches([question.strip().lower()]))
        chances = self.model(clip, ids, mask)[0].float().softmax(-1).cpu().tolist()
        names = self.answers or [str(place) for place in range(len(chances))]
        return sorted(zip(names, chances, strict=True), key=lambda pair: -pair[1])

    def summarise(
        self,
        video: str | Path | VideoReader,
        query: str,
        *,
        count: int | None = None,
        fraction: float = FRACTION,
    ) -> Moments:
        """The shots that answer a query best, with their times: a summary of a long video.

        Args:
            video: a file, or a reader.
            query: one thing, or two joined by ``and``: ``keyboard and hands``.
            count: shots of the summary.
            fraction: of all shots where ``count`` is None; one at least.

        Raises:
            EgolibError: the weights were not trained to summarise, or the video has no shot.
        """
        if self.summarizer is None or self.tokenizer is None:
            raise EgolibError("these weights summarise nothing", remedy="load a training on QFVS")
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        shots = self.summarizer.shots(reader)
        found = self.summarizer.scores(reader, shots, query, self.tokenizer, self.batch_size)
        best = best_shots(found, count or max(1, int(fraction * len(shots))))
        chances = 1 / (1 + np.exp(-found[best]))
        return Moments(query, np.array(shots)[best], chances, reader.duration_sec)

    # ------------------------------------------------------------- for other tasks

    @torch.inference_mode()
    def features(self, video: str | Path | VideoReader, fps: float | None = None) -> np.ndarray:
        """Features (W, P) float32 of a whole video, 1.87 windows of F frames a second.

        Args:
            video: a file, or a reader.
            fps: rate that is assumed (official: 30); None goes by the file's frame index.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        width = self.view.frames
        if fps is None:
            frames = moment_frames_on_screen(reader, 0.0, reader.duration_sec, width)
        else:
            frames = moment_frames(0.0, len(reader) / fps, len(reader), width, fps)
        return self.embed_windows(reader, window_frames(frames, width))

    def strided_features(
        self, video: str | Path | VideoReader, stride_sec: float, window_sec: float = 2.0
    ) -> np.ndarray:
        """Features (W, P) float32 of a whole video, a row each ``stride_sec`` seconds.

        As in the store of the NLQ clips: row i stands for the time (i + 0.5) strides and sees
        a window around it.

        Args:
            video: a file, or a reader.
            stride_sec: distance of the rows.
            window_sec: length of the window that each row sees.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        return self.embed_video(
            reader, rows_between(0.0, reader.duration_sec, stride_sec, window_sec)
        )

    @torch.inference_mode()
    def embed_windows(self, reader: VideoReader, windows: np.ndarray) -> np.ndarray:
        """Embeddings (W, P) float32 of windows of frame numbers (W, F)."""
        views = self.batches(self.view.test(reader.batch(frames)) for frames in windows)
        return self.rows([self.model.encode_video(v).float().cpu() for v in views])

    @torch.inference_mode()
    def tokens(self, text: str) -> np.ndarray:
        """Text states (L, width) float32 of a text's tokens, without start and end."""
        ids, mask = next(self.token_batches([text]))
        return np.asarray(self.model.text(ids, mask)[0, 1:-1].float().cpu().numpy())

    @property
    def text_encoder(self) -> TextStates:
        """``tokens`` with the provenance of its states, as nlq wants a text encoder."""
        return TextStates(self, text_provenance(self, *self._identity))

    @property
    def made_by(self) -> Provenance:
        """What ``features`` and ``strided_features`` are: of which weights, and how wide."""
        name, sha256 = self._identity
        width = self.model.config.projection_width
        return Provenance("video", width, model=name, model_hash=sha256)

    @cached_property
    def _identity(self) -> tuple[str, str]:
        """Name of the weights, and SHA-256 of their file; unknown where they are of none."""
        return ("unknown", "unknown") if self.file is None else (self.about, file_sha256(self.file))

    @property
    def rows_per_sec(self) -> float:
        """Features in one second of video."""
        return WINDOWS_PER_SEC

    # -------------------------------------------------------------------- details

    def rows(self, parts: list[Tensor]) -> np.ndarray:
        """Batches of embeddings as one array (N, P)."""
        width = self.model.config.projection_width
        return np.asarray(torch.cat([torch.zeros(0, width), *parts]).float().numpy())

    def _views(
        self, video: str | Path | Video, stretches: Sequence[Stretch] | None
    ) -> Iterator[Tensor]:
        """Batches (up to ``batch_size``, F, 3, S, S) of stretches."""
        reader = VideoReader(video) if isinstance(video, str | Path) else video
        wanted = [(0.0, reader.duration_sec)] if stretches is None else stretches
        frames = [frames_on_screen(reader, *stretch, self.view.frames) for stretch in wanted]
        return self.batches(self.view.test(reader.batch(f)) for f in frames)

    def batches(self, views: Iterator[Tensor]) -> Iterator[Tensor]:
        """Views (F, 3, S, S) as batches (up to ``batch_size``, F, 3, S, S) on the device."""
        waiting: list[Tensor] = []
        for view in views:
            waiting.append(view)
            if len(waiting) == self.batch_size:
                yield torch.stack(waiting).to(self.device)
                waiting = []
        if waiting:
            yield torch.stack(waiting).to(self.device)

    def token_batches(self, texts: Sequence[str]) -> Iterator[tuple[Tensor, Tensor]]:
        """Ids and mask of batches of texts."""
        if self.tokenizer is None:
            raise EgolibError(
                "no vocabulary was loaded",
                remedy="load(..., tokenizer=FOLDER) with RoBERTa's vocab.json and merges.txt",
            )
        longest = self.model.config.longest_text
        for start in range(0, len(texts), self.batch_size):
            ids, mask = encode(self.tokenizer, texts[start : start + self.batch_size], longest)
            yield torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def _tell_unknown_words(self, texts: Sequence[str]) -> None:
        """Logs the words that the vocabulary lacks: they all look alike to the model."""
        unknown = unknown_words(self.tokenizer, texts) if self.tokenizer is not None else []
        if unknown:
            log.warning("not in the vocabulary, read as unknown: %s", ", ".join(unknown))

    def _match(self, reader: VideoReader, texts: Sequence[str]) -> np.ndarray:
        """(N,) probabilities that the whole video and each text belong together."""
        (video,) = self._views(reader, None)
        prefix = self.model.video_prefix(video)
        found = []
        for ids, mask in self.token_batches(texts):
            clips = prefix.expand(len(ids), -1, -1)
            fused = self.model.fuse(clips, self.model.text_prefix(ids, mask), mask)
            found.append(self.model.itm_logits(fused).float().softmax(-1)[:, 1].cpu())
        return np.asarray(torch.cat(found).float().numpy())


@dataclass(frozen=True)
class TextStates:
    """Text states of a model's tokens, with their provenance.

    Args:
        model: with its vocabulary.
        provenance: which weights make them, and how wide they are.
    """

    model: VideoLanguage
    provenance: Provenance

    def __call__(self, text: str) -> np.ndarray:
        """(L, width) float32."""
        return self.model.tokens(text)


def text_provenance(model: VideoLanguage, name: str, sha256: str) -> Provenance:
    """What text states of a model are.

    Args:
        model: the network.
        name: of its weights.
        sha256: of their file.
    """
    return Provenance("text", model.model.config.text_width, model=name, model_hash=sha256)


def rows_between(start: float, end: float, stride_sec: float, window_sec: float) -> list[Stretch]:
    """The stretch of a video that each row of features of a part of it sees.

    Args:
        start: of the part, in seconds.
        end: of the part, in seconds.
        stride_sec: distance of the rows.
        window_sec: length of their windows, also where that is wider than a stride.
    """
    count = int((end - start) / stride_sec)
    centres = start + (np.arange(count) + 0.5) * stride_sec
    half = window_sec / 2
    return [(max(0.0, float(c) - half), float(c) + half) for c in centres]


def _as_texts(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def unknown_words(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The different words of some texts that hold tokens which the vocabulary lacks."""
    words = dict.fromkeys(word for text in texts for word in text.split())
    return [word for word in words if tokenizer.special.unknown in tokenizer.ids(word)]


def window_frames(frames: Sequence[int], width: int) -> np.ndarray:
    """(W, F) frame numbers: consecutive sampled frames, the incomplete rest is dropped."""
    whole = len(frames) // width * width
    return np.array(frames[:whole], np.int64).reshape(-1, width)


def _windows(duration_sec: float, window_sec: float, stride_sec: float) -> list[Stretch]:
    """Windows inside a video; one that covers it where it is shorter than a window."""
    count = max(1, int((duration_sec - window_sec) / stride_sec + 1e-9) + 1)
    starts = [i * stride_sec for i in range(count)]
    return [(start, min(start + window_sec, duration_sec)) for start in starts]


# --------------------------------------------------------------------------- loading


def load(
    name: str | Path | None = None,
    *,
    tokenizer: str | Path | None = None,
    frames: int | None = None,
    device: str = "auto",
    view: Test | None = None,
    batch_size: int = 8,
    like: ModelConfig | None = None,
) -> VideoLanguage:
    """A model by path, Hub id, or task/variant of the newest run.

    Args:
        name: an egolib checkpoint (``.safetensors``), an official ``.pth``, or a name that
            ``egolib.runs.inputs.locate`` knows.
        tokenizer: vocabulary file or folder; by default what lies beside the weights.
        frames: frames of a clip; the time embedding is resized to them.
        device: ``auto`` takes a GPU where there is one.
        view: how pictures become input; by default what the weights say, else ``ego4d``.
        batch_size: clips and texts that are computed at once.
        like: what an official file of other than the published sizes does not tell.

    Raises:
        EgolibError: no such weights, weights of another model, a vocabulary that
            they were not trained with, or a device that this machine lacks.
    """
    path = weights_file(locate(name, "vlp"))
    backbone = backbone_file(path)
    model, about = read_model(backbone, frames, like)
    words = find_tokenizer(path, tokenizer, about.get("tokenizer_hash"), model.config)
    chosen = view or about.get("view", "ego4d")
    loaded = VideoLanguage(model, words, device=device, view=chosen, batch_size=batch_size)
    loaded.about = who(path)
    loaded.file = path if backbone == path else None
    loaded.answers = list(about.get("answers", []))
    if backbone != path:
        loaded.summarizer = read_summarizer(path, backbone, loaded.device)
    return loaded


def save(model: VideoLanguageModel, path: str | Path, *, view: Test = "ego4d") -> Path:
    """Writes a network as an egolib checkpoint that ``load`` reads and ``convert`` exports.

    Args:
        model: the network.
        path: ``x.safetensors``; ``x.json`` is written beside it.
        view: how pictures become its input.
    """
    about = {"model": model_name(model.config), "config": to_tree(model.config), "view": view}
    return checkpoint.save(path, model.state_dict(), about)
