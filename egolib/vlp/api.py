"""Embeddings of any video and any text, and how similar they are.

Legend: N stretches or texts, P embedding width, F frames, S side of the input,
W windows, L tokens.

``load`` gives a ``VideoLanguage`` with the verbs ``embed_video``, ``embed_text`` and
``similarity``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.report.results import Similarity
from egolib.text.tokens import Tokenizer, encode, load_tokenizer
from egolib.video import VideoReader
from egolib.vlp.config import ModelConfig
from egolib.vlp.data.clips import View
from egolib.vlp.data.readers import Video
from egolib.vlp.data.sampling import WINDOWS_PER_SEC, intervals, middle_frames, moment_frames
from egolib.vlp.data.transforms import Test
from egolib.vlp.formats import checkpoint as convert
from egolib.vlp.losses.similarity import cosine_similarity
from egolib.vlp.models.build import build_empty
from egolib.vlp.models.model import VideoLanguageModel

Stretch = tuple[float, float]
Scores = Literal["dual", "fusion", "ensemble"]


class VideoLanguage:
    """A model with everything that turns files and strings into its input.

    Args:
        model: the network; it is put into evaluation mode.
        tokenizer: texts to ids; None where only videos are embedded.
        device: where to compute.
        view: how pictures become input, ``ego4d`` or ``epic``.
        batch: stretches and texts that are computed at once.
    """

    def __init__(
        self,
        model: VideoLanguageModel,
        tokenizer: Tokenizer | None = None,
        *,
        device: str | torch.device = "cpu",
        view: Test = "ego4d",
        batch: int = 8,
    ):
        if tokenizer is not None and tokenizer.size > model.config.vocabulary_size:
            raise EgolibError(
                f"a vocabulary of {tokenizer.size} tokens for a model of "
                f"{model.config.vocabulary_size}",
                remedy="use the vocabulary that the model was trained with",
            )
        self.model = model.to(device).eval()
        self.tokenizer, self.device, self.batch = tokenizer, torch.device(device), batch
        self.view = View(model.config.frames, model.config.image_size, view)

    # ---------------------------------------------------------------------- verbs

    @torch.inference_mode()
    def embed_video(
        self, video: str | Path | Video, stretches: Sequence[Stretch] | None = None
    ) -> np.ndarray:
        """Embeddings (N, P) float32 of stretches of a video; of the whole one by default.

        Args:
            video: a file, or a reader.
            stretches: (start, end) in seconds each. F frames are taken evenly.
        """
        views = self._views(video, stretches)
        return self.rows([self.model.encode_video(v).float().cpu() for v in views])

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (N, P) float32 of texts."""
        parts = [self.model.encode_text(*t).float().cpu() for t in self.token_batches(texts)]
        return self.rows(parts)

    @torch.inference_mode()
    def similarity(
        self,
        video: str | Path | VideoReader,
        texts: Sequence[str],
        *,
        scores: Scores = "dual",
        window_sec: float = 2.0,
        stride_sec: float = 1.0,
    ) -> Similarity:
        """How well each text describes a video, as a whole and over time.

        Args:
            texts: N strings.
            scores: ``dual`` compares embeddings (cosine), ``fusion`` asks the matching
                head (probability), ``ensemble`` adds both. The curve is always dual.
            window_sec, stride_sec: length and distance of the curve's windows.
        """
        if not texts:
            raise EgolibError("no text to compare with")
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        windows = _windows(len(reader) / reader.fps, window_sec, stride_sec)
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

    # ------------------------------------------------------------- for other tasks

    @torch.inference_mode()
    def features(self, video: str | Path | VideoReader, fps: float | None = None) -> np.ndarray:
        """Features (W, P) float32 of a whole video, 1.87 windows of F frames a second.

        Args:
            fps: rate that is assumed (official: 30); None takes the file's.
        """
        reader = video if isinstance(video, VideoReader) else VideoReader(video)
        rate = fps or reader.fps
        frames = moment_frames(0.0, len(reader) / rate, len(reader), self.view.frames, rate)
        return self.embed_windows(reader, window_frames(frames, self.view.frames))

    @torch.inference_mode()
    def embed_windows(self, reader: VideoReader, windows: np.ndarray) -> np.ndarray:
        """Embeddings (W, P) float32 of windows of frame numbers (W, F)."""
        views = self.batches(self.view.test(reader.batch(frames)) for frames in windows)
        return self.rows([self.model.encode_video(v).float().cpu() for v in views])

    @torch.inference_mode()
    def tokens(self, text: str) -> np.ndarray:
        """Text states (L, width) float32 of a text's tokens, without start and end."""
        ids, mask = next(self.token_batches([text]))
        return self.model.text(ids, mask)[0, 1:-1].float().cpu().numpy()

    @property
    def rows_per_sec(self) -> float:
        """Features in one second of video."""
        return WINDOWS_PER_SEC

    # -------------------------------------------------------------------- details

    def rows(self, parts: list[Tensor]) -> np.ndarray:
        """Batches of embeddings as one array (N, P)."""
        width = self.model.config.projection_width
        return torch.cat([torch.zeros(0, width), *parts]).numpy()

    def _views(
        self, video: str | Path | Video, stretches: Sequence[Stretch] | None
    ) -> Iterator[Tensor]:
        """Batches (up to ``batch``, F, 3, S, S) of stretches."""
        reader = VideoReader(video) if isinstance(video, str | Path) else video
        wanted = [(0.0, len(reader) / reader.fps)] if stretches is None else stretches
        frames = [self._frames(reader, start, end) for start, end in wanted]
        return self.batches(self.view.test(reader.batch(f)) for f in frames)

    def _frames(self, reader: Video, start_sec: float, end_sec: float) -> list[int]:
        """F frames, evenly over a stretch; short stretches repeat frames."""
        last = len(reader) - 1
        start, end = round(start_sec * reader.fps), round(end_sec * reader.fps)
        start = min(max(start, 0), last)
        parts = intervals(self.view.frames, start, max(min(end, last + 1), start + 1))
        return [min(max(frame, start), last) for frame in middle_frames(parts)]

    def batches(self, views: Iterator[Tensor]) -> Iterator[Tensor]:
        """Views (F, 3, S, S) as batches (up to ``batch``, F, 3, S, S) on the device."""
        waiting: list[Tensor] = []
        for view in views:
            waiting.append(view)
            if len(waiting) == self.batch:
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
        longest = self.model.config.text_positions - 2
        for start in range(0, len(texts), self.batch):
            ids, mask = encode(self.tokenizer, texts[start : start + self.batch], longest)
            yield torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device)

    def _match(self, reader: VideoReader, texts: Sequence[str]) -> np.ndarray:
        """(N,) probabilities that the whole video and each text belong together."""
        (video,) = self._views(reader, None)
        prefix = self.model.video_prefix(video)
        found = []
        for ids, mask in self.token_batches(texts):
            clips = prefix.expand(len(ids), -1, -1)
            fused = self.model.fuse(clips, self.model.text_prefix(ids, mask), mask)
            found.append(self.model.itm_logits(fused).float().softmax(-1)[:, 1].cpu())
        return torch.cat(found).numpy()


def window_frames(frames: Sequence[int], width: int) -> np.ndarray:
    """(W, F) frame numbers: consecutive sampled frames, the incomplete rest left out."""
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
    batch: int = 8,
) -> VideoLanguage:
    """A model by path, Hub id, or task/variant of the newest run.

    Args:
        name: weights of ours (``.safetensors``), an official ``.pth``, or a name that
            ``egolib.runs.inputs.locate`` knows.
        tokenizer: vocabulary file or folder; by default what lies beside the weights.
        frames: frames of a clip; the time embedding is resized to them.
        device: ``auto`` takes a GPU where there is one.
        view: how pictures become input; by default what the weights say, else ``ego4d``.

    Raises:
        EgolibError: no such weights, weights of another model, or a vocabulary that
            they were not trained with.
    """
    from egolib.runs.inputs import locate

    path = locate(name, "vlp")
    if path.is_dir():
        path = _only_weights(path)
    model, about = _read(path, frames)
    words = _find_tokenizer(path, tokenizer, about)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return VideoLanguage(
        model, words, device=device, view=view or about.get("view", "ego4d"), batch=batch
    )


def _only_weights(folder: Path) -> Path:
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise EgolibError(f"{len(files)} weight files in this folder", file=folder)
    return files[0]


def _read(path: Path, frames: int | None) -> tuple[VideoLanguageModel, dict[str, Any]]:
    """The network, and what the sidecar says about it."""
    if path.suffix != ".safetensors" or not path.with_suffix(".json").is_file():
        state = convert.read_official(path)
        config = convert.recognise(state, file=path)
        model = build_empty(replace(config, frames=frames or config.frames))
        convert.load_official(model, state, file=path)
        return model, {}
    state, about = checkpoint.load(path)
    config = build(ModelConfig, about["config"])
    config = replace(config, frames=frames or config.frames)
    state["video.times"] = convert.resize_times(state["video.times"], config.frames)
    model = build_empty(config)
    checkpoint.load_into(model, state, file=path)
    return model, about


def _find_tokenizer(
    path: Path, given: str | Path | None, about: dict[str, Any]
) -> Tokenizer | None:
    """The vocabulary beside the weights or the one named; its hash must be the recorded one."""
    if given is None:
        names = ("vocabulary.json", "tokenizer.json", "vocab.json")
        given = next((path.parent / n for n in names if (path.parent / n).is_file()), None)
    if given is None:
        return None
    found = load_tokenizer(given)
    recorded = about.get("tokenizer_hash")
    if recorded is not None and found.hash != recorded:
        raise EgolibError(
            "the weights were trained with another vocabulary", file=given, remedy=f"see {path}"
        )
    if recorded is None and found.name == "words":
        raise EgolibError(
            "a vocabulary of whole words cannot serve weights that were not trained with one",
            file=given,
            remedy="published weights need RoBERTa's vocab.json and merges.txt",
        )
    return found
