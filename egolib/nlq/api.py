"""Answers: ranked windows in seconds for questions about clips.

``load`` gives a ``Grounder`` with two verbs: ``ground`` for one question about one
video's features, ``predict`` for a whole data set. Settings of inference are passed
with the question, or are those that the grounder was loaded with.

Shapes: Q questions about one clip, T padded video length, L tokens, P points.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from egolib.config import build
from egolib.engine.device import resolve_device
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.feature_arrays import feature_array
from egolib.io.features import Provenance, Store
from egolib.nlq.config import DataConfig, InferConfig, ModelConfig
from egolib.nlq.config.span import SpanDataConfig, SpanInferConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.dataset import Item, NlqData, pad
from egolib.nlq.data.text import TextEncoder, known_encoder, require_same_text
from egolib.nlq.formats.checkpoint import describe, read
from egolib.nlq.formats.submission import prediction
from egolib.nlq.localization.batched import BatchedGrounding, Pending, in_batches, kept
from egolib.nlq.localization.decode import decode, to_seconds
from egolib.nlq.localization.on_device import decodes
from egolib.nlq.models.clip_text import ClipTextEncoder
from egolib.nlq.models.network import GroundNLQ, padded_length
from egolib.nlq.models.vslnet.infer import SpanGrounder
from egolib.nlq.models.vslnet.network import Vslnet
from egolib.nn.points import Predictions
from egolib.nn.temporal_blocks import Tokens
from egolib.progress import track
from egolib.report.results import Moments
from egolib.runs.inputs import Told, locate, weights_file, who

Thing = TypeVar("Thing")
Streams = dict[str, Tokens]

#: A batch in computation; its windows, questions by clip as indices, and as items.
Queued = tuple[Pending, Sequence[list[int]], Sequence[Sequence[Item]]]


class Grounder(Told):
    """A network with everything that turns its outputs into windows in seconds.

    Args:
        model: the network; it is put into evaluation mode.
        data: strides of the features that it was trained on.
        infer: decoding and batching, where a call does not say otherwise.
        device: where to compute.
        text_encoder: turns a question into the token features that it was trained on.
        text: what made those features; None where unknown.
    """

    def __init__(
        self,
        model: GroundNLQ,
        data: DataConfig | None = None,
        infer: InferConfig | None = None,
        device: str | torch.device = "cpu",
        text_encoder: TextEncoder | None = None,
        text: Provenance | None = None,
    ):
        self.model = model.to(device).eval()
        self.data, self.infer = data or DataConfig(), infer or InferConfig()
        self.device = torch.device(device)
        self.text_encoder, self.text = text_encoder, text
        self._batches: BatchedGrounding | None = None

    def ground(
        self,
        features: np.ndarray | torch.Tensor | Store,
        question: str,
        *,
        text_encoder: TextEncoder | None = None,
        uid: str | None = None,
        duration_sec: float | None = None,
        cues: Mapping[str, np.ndarray] | None = None,
        infer: InferConfig | None = None,
    ) -> Moments:
        """Windows that answer a question, best first.

        Args:
            features: (n, V) features of one video at the stride that the model was
                trained on, as an array, a tensor or a list of rows; or a store.
            question: the text.
            text_encoder: turns it into token features (L, W); by default the one that
                the model brings along.
            uid: which video of a store.
            duration_sec: length of the video; by default what the features cover.
            cues: (L, W) tokens of the text streams after the question.
            infer: decoding, in place of the grounder's own.

        Raises:
            EgolibError: the features do not fit, or no text encoder is known.
        """
        encoder = self._encoder(text_encoder)
        video = self._video(features, uid)
        if duration_sec is None:
            duration_sec = len(video) * self.data.stride_frames / self.data.fps
        first, *others = (name for name, _ in self.model.config.text_streams)
        widths = dict(self.model.config.text_streams)
        absent = {name: np.zeros((0, widths[name]), np.float32) for name in others}
        query = Query(question, "question_0", duration_sec, uid or "video")
        item = Item(
            query=query,
            video=video,
            tokens={**absent, **(cues or {}), first: np.atleast_2d(encoder(question))},
            windows_feat=None,
            labels=np.zeros(0, np.int64),
            stride_frames=self.data.stride_frames,
        )
        _check_item(item, self.model.config)
        return self.answer_items([item], infer)[0]

    def predict(self, data: NlqData, infer: InferConfig | None = None) -> list[dict[str, Any]]:
        """Prediction records of all questions, in their order (the submission format)."""
        return [
            prediction(query, moments.segments_sec, moments.scores)
            for query, moments in zip(data.queries, self.answers(data, infer), strict=True)
        ]

    def answers(self, data: NlqData, infer: InferConfig | None = None) -> list[Moments]:
        """Ranked windows of all questions, in their order."""
        parts = self.stream(data, infer=infer)
        answers = {i: m for part, found in parts for i, m in zip(part, found, strict=True)}
        return [answers[index] for index in range(len(data))]

    def stream(
        self, data: NlqData, done: Collection[int] = (), infer: InferConfig | None = None
    ) -> Iterator[tuple[list[int], list[Moments]]]:
        """Ranked windows as they are found: (indices of some questions, their answers).

        The two paths of ``infer.path`` give equal answers up to rounding. ``official``
        runs padded batches in file order. ``fast`` computes what does not depend on
        the question once for each clip, and as much padding as the outputs need.

        Args:
            data: the questions and their features.
            done: indices of questions that need no answer any more.
            infer: decoding and batching, in place of the grounder's own.
        """
        infer = infer or self.infer
        official = infer.path == "official"
        parts = question_parts(data.queries, infer)
        left = [part for part in parts if not set(part) <= set(done)]
        if not left:
            return
        tokens = [] if official else [data.tokens(query) for query in data.queries]
        on_device = self.device.type == "cuda" and decodes(infer, self.model.config.classes)
        if on_device and not official:
            yield from self.stream_batches(data, left, tokens, infer)
            return
        streams = self._encode_texts(tokens, infer)
        for part in track(left, "grounding", unit="batch" if official else "clip"):
            items = [data[i] for i in part]
            if official:
                yield part, self._answer_batch(items, infer)
            else:
                yield part, self._answer_clip(items, [streams[i] for i in part], infer)

    @torch.inference_mode()
    def stream_batches(
        self,
        data: NlqData,
        parts: Sequence[list[int]],
        tokens: Sequence[Mapping[str, np.ndarray]],
        infer: InferConfig,
    ) -> Iterator[tuple[list[int], list[Moments]]]:
        """``stream`` on a GPU: questions about several clips at once, see ``BatchedGrounding``.

        Args:
            data: the questions and their features.
            parts: indices of questions about one clip each.
            tokens: of all questions, in file order.
            infer: decoding.
        """
        batched = self._batched(infer)
        texts = batched.encode_texts(tokens)
        lengths = [data.video.length(data.queries[part[0]].clip_uid) for part in parts]
        waiting: Queued | None = None
        batches = list(in_batches(parts, lengths))
        for batch in track(batches, "grounding", unit="batch"):
            items = [[data[index] for index in part] for part in batch]
            rows = [index for part in batch for index in part]
            queued = batched.ask(items, rows, texts), batch, items
            if waiting is not None:
                yield from self._fetched(waiting, infer)
            waiting = queued
        if waiting is not None:
            yield from self._fetched(waiting, infer)

    def _batched(self, infer: InferConfig) -> BatchedGrounding:
        """What computes batches with these settings; its graphs are kept for the next time."""
        if self._batches is None or self._batches.infer != infer:
            self._batches = BatchedGrounding(self.model, infer, self.device)
        return self._batches

    def _fetched(
        self, queued: Queued, infer: InferConfig
    ) -> Iterator[tuple[list[int], list[Moments]]]:
        """The answers of a queued batch, part by part."""
        pending, batch, items = queued
        windows = iter(pending.fetch())
        for part, asked in zip(batch, items, strict=True):
            found = []
            for item in asked:
                segments, scores = kept(next(windows))
                data = replace(self.data, stride_frames=item.stride_frames)
                duration = item.query.duration_sec
                seconds = to_seconds(segments, duration, infer.decode_offset, data)
                found.append(_moments(item, seconds, scores))
            yield part, found

    def answer_items(
        self, items: Sequence[Item], infer: InferConfig | None = None
    ) -> list[Moments]:
        """Ranked windows of a few questions about one clip."""
        infer = infer or self.infer
        streams = self._encode_texts([item.tokens for item in items], infer)
        return self._answer_clip(items, streams, infer)

    # ------------------------------------------------------------------- paths

    @torch.inference_mode()
    def _answer_batch(self, items: Sequence[Item], infer: InferConfig) -> list[Moments]:
        """The official order of work: everything padded, every video as often as asked about."""
        config = self.model.config
        video, mask = pad([item.video for item in items], config.max_length)
        streams = {
            name: pad([item.tokens[name] for item in items]) for name, _ in config.text_streams
        }
        predictions = self.model(
            video.to(self.device),
            mask.to(self.device),
            {name: tokens.to(self.device) for name, (tokens, _) in streams.items()},
            {name: m.to(self.device) for name, (_, m) in streams.items()},
            text_padding=infer.text_padding,
        )
        return self._decode(predictions, items, infer)

    @torch.inference_mode()
    def _encode_texts(
        self, tokens: Sequence[Mapping[str, np.ndarray]], infer: InferConfig
    ) -> list[Streams]:
        """Encoded tokens of each question, without padding.

        Official behaviour: a question is encoded beside the others of its batch, whose
        longest one decides how far it is padded, which changes it.
        """
        names = [name for name, _ in self.model.config.text_streams]
        encoded: list[Streams] = []
        for part in _chunks(tokens, infer.text_batch):
            padded = {name: pad([each[name] for each in part]) for name in names}
            streams = self.model.encode_text(
                {name: values.to(self.device) for name, (values, _) in padded.items()},
                {name: mask.to(self.device) for name, (_, mask) in padded.items()},
                infer.text_padding,
            )
            for row, each in enumerate(part):
                lengths = {name: len(each[name]) for name in names}
                encoded.append(
                    {
                        name: Tokens(
                            streams[name].values[row, : lengths[name]],
                            streams[name].mask[row, : lengths[name]],
                        )
                        for name in names
                    }
                )
        return encoded

    @torch.inference_mode()
    def _answer_clip(
        self, items: Sequence[Item], streams: Sequence[Streams], infer: InferConfig
    ) -> list[Moments]:
        """Questions about one clip; its video is embedded once."""
        features = items[0].video
        video, mask = pad([features], padded_length(len(features), self.model.config))
        encoded = self.model.encode_video(video.to(self.device), mask.to(self.device))
        predictions = self.model.ground(encoded.expand(len(items)), _stack(streams))
        return self._decode(predictions, items, infer)

    # ------------------------------------------------------------------ details

    def _encoder(self, given: TextEncoder | None) -> TextEncoder:
        encoder = given or self.text_encoder
        if encoder is None:
            made = self.text.model if self.text else "CLIP ViT-B/32, where it is a published one"
            theirs = "vlp.load().text_encoder" if made.startswith("vlp/") else "..."
            raise EgolibError(
                f"the model does not bring its text encoder along (it was trained on: {made})",
                remedy=f"pass text_encoder={theirs}, or nlq.load(..., text_encoder=FOLDER), "
                "a folder with CLIP's text weights and vocabulary",
            )
        require_same_text(encoder, self.text)
        return encoder

    def _decode(
        self, predictions: Predictions, items: Sequence[Item], infer: InferConfig
    ) -> list[Moments]:
        probabilities = predictions.logits.float().sigmoid() * predictions.mask.unsqueeze(2)
        scores, offsets = (x.float().cpu().numpy() for x in (probabilities, predictions.offsets))
        found = []
        for row, item in enumerate(items):
            data = replace(self.data, stride_frames=item.stride_frames)
            duration = item.query.duration_sec
            segments, scores_kept, _ = decode(
                scores[row], offsets[row], predictions.lengths, duration, infer, data
            )
            found.append(_moments(item, segments, scores_kept))
        return found

    def _video(self, features: np.ndarray | torch.Tensor | Store, uid: str | None) -> np.ndarray:
        if not isinstance(features, Store):
            return feature_array(features, record=uid)
        if uid is None:
            raise EgolibError("say which video of the store: uid=...")
        stride = features.provenance.stride_frames
        if stride is not None and not np.isclose(stride, self.data.stride_frames):
            raise EgolibError(
                f"features of stride {stride}, the model was trained with "
                f"{self.data.stride_frames}",
                remedy="extract features with the model's stride",
            )
        return feature_array(features.get(uid), record=uid)


def _moments(item: Item, segments_sec: np.ndarray, scores: np.ndarray) -> Moments:
    truth = item.query.windows_sec
    return Moments(
        question=item.query.text,
        segments_sec=segments_sec,
        scores=scores,
        duration_sec=item.query.duration_sec,
        truth_sec=None if truth is None else np.array(truth, float),
    )


def question_parts(queries: Sequence[Query], infer: InferConfig) -> list[list[int]]:
    """Indices of the questions that are computed at once, in the order of work."""
    if infer.path == "official":
        return list(_chunks(range(len(queries)), infer.text_batch))
    by_clip: dict[str, list[int]] = {}
    for index, query in enumerate(queries):
        by_clip.setdefault(query.clip_uid, []).append(index)
    return [part for own in by_clip.values() for part in _chunks(own, infer.clip_batch)]


def _stack(streams: Sequence[Streams]) -> Streams:
    """Token streams of several questions, padded to the longest.

    The padding is never attended to.
    """
    stacked = {}
    for name in streams[0]:
        values = [each[name].values for each in streams]
        masks = [each[name].mask for each in streams]
        stacked[name] = Tokens(
            torch.nn.utils.rnn.pad_sequence(values, batch_first=True),
            torch.nn.utils.rnn.pad_sequence(masks, batch_first=True),
        )
    return stacked


def _chunks(values: Sequence[Thing], size: int) -> Iterator[list[Thing]]:
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part


def _check_item(item: Item, config: ModelConfig) -> None:
    expected = {"video": sum(width for _, width in config.video_streams)}
    expected |= dict(config.text_streams)
    for name, array in {"video": item.video, **item.tokens}.items():
        if name not in expected:
            raise EgolibError(f"the model has no stream {name!r}", remedy=f"one of {[*expected]}")
        if array.ndim != 2 or array.shape[1] != expected[name]:
            raise EgolibError(
                f"{name} features of shape {array.shape}, (rows, {expected[name]}) are needed",
                remedy="published checkpoints need the features that they were trained on",
            )
    if len(item.video) == 0 or len(item.video) > config.max_length:
        raise EgolibError(
            f"{len(item.video)} video features, the model takes 1 to {config.max_length}"
        )


# -------------------------------------------------------------------------- loading


def load(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    weights: Literal["official", "averaged"] = "official",
    text_encoder: TextEncoder | str | Path | None = None,
    model: ModelConfig | None = None,
    data: DataConfig | None = None,
    infer: InferConfig | None = None,
) -> Grounder | SpanGrounder:
    """A grounder from an egolib checkpoint (``.safetensors``) or an official file.

    Args:
        name: a file, a folder that holds one, ``nlq/<variant>`` or None for the newest
            finished training, or a repository on the Hugging Face Hub (see
            ``egolib.runs.inputs.locate``).
        device: ``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:N``.
        weights: of an official file: ``official`` is what its evaluation uses, the live
            weights; ``averaged`` their moving average.
        text_encoder: in place of the one that the model brings along, or the folder of
            CLIP's text weights and vocabulary, which published checkpoints need.
        model: of an official file: settings that leave no trace in the weights.
        data: of the features, in place of what the checkpoint says.
        infer: decoding and batching, in place of what the checkpoint says.

    Raises:
        UsageError: nothing of that name.
        EgolibError: the file is damaged or holds another model, or there is no such device.
    """
    chosen, path = resolve_device(device), weights_file(locate(name, "nlq"))
    network, known = read(path, weights=weights, start=model)
    parts = known.get("config", {})
    if isinstance(network, Vslnet):
        return _spans(network, parts, data, infer, chosen, text_encoder)
    text = build(Provenance, known["text"]) if known.get("text") else None
    if isinstance(text_encoder, str | Path):
        text_encoder = ClipTextEncoder.from_folder(text_encoder, chosen)
    loaded = Grounder(
        network,
        data or build(DataConfig, parts.get("data", {})),
        infer or build(InferConfig, parts.get("infer", {})),
        chosen,
        text_encoder or (known_encoder(text) if text else None),
        text,
    )
    loaded.about = who(path)
    return loaded


def _spans(
    network: Vslnet,
    parts: Mapping[str, Any],
    data: DataConfig | None,
    infer: InferConfig | None,
    device: torch.device,
    text_encoder: TextEncoder | str | Path | None,
) -> SpanGrounder:
    if isinstance(text_encoder, str | Path):
        raise EgolibError(
            "VSLNet does not read CLIP's tokens",
            remedy="pass a function from a question to the token states that it was trained on",
        )
    cells = data.span if data else build(SpanDataConfig, parts.get("data", {}))
    decoding = infer.span if infer else build(SpanInferConfig, parts.get("infer", {}))
    return SpanGrounder(network, cells, decoding, device, text_encoder)


def save(
    path: str | Path,
    model: GroundNLQ | Vslnet,
    data: DataConfig | None = None,
    infer: InferConfig | None = None,
    **sidecar: Any,
) -> Path:
    """Writes a checkpoint that ``load`` reads; returns the path of its tensor file.

    Args:
        path: of the tensor file.
        model: the network.
        data: strides of the features that it was trained on.
        infer: decoding and batching that it should be asked with.
        sidecar: further JSON values, for instance step and metrics.
    """
    settings = ModelConfig(span=model.config) if isinstance(model, Vslnet) else model.config
    about = describe(settings, data or DataConfig(), infer or InferConfig())
    return checkpoint.save(path, model.state_dict(), {**sidecar, **about})
