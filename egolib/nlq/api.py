"""Answers: ranked windows in seconds for questions about clips.

``load`` gives a ``Grounder`` with two verbs: ``ground`` for one question about one
video's features, ``predict`` for a whole data set.

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

from egolib.config import build, to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.io.features import Store
from egolib.nlq.config import DataConfig, InferConfig, ModelConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.dataset import Item, NlqData, pad
from egolib.nlq.data.text import TextEncoder
from egolib.nlq.formats.checkpoint import read_official
from egolib.nlq.formats.submission import prediction
from egolib.nlq.localization.decode import decode
from egolib.nlq.models.blocks import Tokens
from egolib.nlq.models.network import GroundNLQ, Predictions, padded_length
from egolib.progress import track
from egolib.report.results import Moments
from egolib.runs.inputs import locate

Thing = TypeVar("Thing")
Streams = dict[str, Tokens]
Padding = Literal["official", "per_query"]


class Grounder:
    """A network with everything that turns its outputs into windows in seconds.

    Args:
        model: the network; it is put into evaluation mode.
        data: strides of the features that it was trained on.
        infer: decoding and batching.
        device: where to compute.
    """

    def __init__(
        self,
        model: GroundNLQ,
        data: DataConfig | None = None,
        infer: InferConfig | None = None,
        device: str | torch.device = "cpu",
    ):
        self.model = model.to(device).eval()
        self.data, self.infer = data or DataConfig(), infer or InferConfig()
        self.device = torch.device(device)

    def ground(
        self,
        features: np.ndarray | Store,
        question: str,
        *,
        text_encoder: TextEncoder,
        uid: str | None = None,
        duration_sec: float | None = None,
        cues: Mapping[str, np.ndarray] | None = None,
    ) -> Moments:
        """Windows that answer a question, best first.

        Args:
            features: (n, V) features of one video at the stride that the model was
                trained on, or a store.
            question: the text.
            text_encoder: turns it into token features (L, W).
            uid: which video of a store.
            duration_sec: length of the video; by default what the features cover.
            cues: (L, W) tokens of the text streams after the question.
        """
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
            tokens={**absent, **(cues or {}), first: np.atleast_2d(text_encoder(question))},
            windows_feat=None,
            labels=np.zeros(0, np.int64),
            stride_frames=self.data.stride_frames,
        )
        _check_item(item, self.model.config)
        return self.answer_items([item])[0]

    def predict(self, data: NlqData) -> list[dict[str, Any]]:
        """Prediction records of all questions, in their order (the submission format)."""
        return [
            prediction(query, moments.segments_sec, moments.scores)
            for query, moments in zip(data.queries, self.answers(data), strict=True)
        ]

    def answers(self, data: NlqData) -> list[Moments]:
        """Ranked windows of all questions, in their order."""
        answers = {i: m for indices, found in self.stream(data) for i, m in zip(indices, found)}
        return [answers[index] for index in range(len(data))]

    def stream(
        self, data: NlqData, done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[Moments]]]:
        """Ranked windows as they are found: (indices of some questions, their answers).

        The two paths of ``infer.path`` give equal answers up to rounding. ``official``
        runs padded batches in file order. ``fast`` computes what does not depend on
        the question once for each clip, and as much padding as the outputs need.

        Args:
            done: indices of questions that need no answer any more.
        """
        official = self.infer.path == "official"
        parts = _chunks(range(len(data)), self.infer.text_batch) if official else self._clips(data)
        left = [part for part in parts if not set(part) <= set(done)]
        if not left:
            return
        streams = [] if official else self._encode_texts([data.tokens(q) for q in data.queries])
        for part in track(left, "grounding", unit="batch" if official else "clip"):
            items = [data[i] for i in part]
            if official:
                yield part, self._answer_batch(items)
            else:
                yield part, self._answer_clip(items, [streams[i] for i in part])

    def _clips(self, data: NlqData) -> Iterator[list[int]]:
        """Questions about one clip, as many as are computed at once."""
        by_clip: dict[str, list[int]] = {}
        for index, query in enumerate(data.queries):
            by_clip.setdefault(query.clip_uid, []).append(index)
        for indices in by_clip.values():
            yield from _chunks(indices, self.infer.clip_batch)

    def answer_items(self, items: Sequence[Item]) -> list[Moments]:
        """Ranked windows of a few questions about one clip."""
        return self._answer_clip(items, self._encode_texts([item.tokens for item in items]))

    # ------------------------------------------------------------------- paths

    @torch.inference_mode()
    def _answer_batch(self, items: Sequence[Item]) -> list[Moments]:
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
        )
        return self._decode(predictions, items)

    @torch.inference_mode()
    def _encode_texts(self, tokens: Sequence[Mapping[str, np.ndarray]]) -> list[Streams]:
        """Encoded tokens of each question, without padding.

        Official behaviour: a question is encoded beside the others of its batch, whose
        longest one decides how far it is padded, which changes it.
        """
        names = [name for name, _ in self.model.config.text_streams]
        encoded: list[Streams] = []
        for part in _chunks(tokens, self.infer.text_batch):
            padded = {name: pad([each[name] for each in part]) for name in names}
            streams = self.model.encode_text(
                {name: values.to(self.device) for name, (values, _) in padded.items()},
                {name: mask.to(self.device) for name, (_, mask) in padded.items()},
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
    def _answer_clip(self, items: Sequence[Item], streams: Sequence[Streams]) -> list[Moments]:
        """Questions about one clip; its video is embedded once."""
        features = items[0].video
        video, mask = pad([features], padded_length(len(features), self.model.config))
        encoded = self.model.encode_video(video.to(self.device), mask.to(self.device))
        predictions = self.model.ground(encoded.expand(len(items)), _stack(streams))
        return self._decode(predictions, items)

    # ------------------------------------------------------------------ details

    def _decode(self, predictions: Predictions, items: Sequence[Item]) -> list[Moments]:
        probabilities = predictions.logits.float().sigmoid() * predictions.mask.unsqueeze(2)
        scores, offsets = (x.float().cpu().numpy() for x in (probabilities, predictions.offsets))
        found = []
        for row, item in enumerate(items):
            data = replace(self.data, stride_frames=item.stride_frames)
            duration = item.query.duration_sec
            segments, kept, _ = decode(
                scores[row], offsets[row], predictions.lengths, duration, self.infer, data
            )
            truth = item.query.windows_sec
            found.append(
                Moments(
                    question=item.query.text,
                    segments_sec=segments,
                    scores=kept,
                    duration_sec=duration,
                    truth_sec=None if truth is None else np.array(truth, float),
                )
            )
        return found

    def _video(self, features: np.ndarray | Store, uid: str | None) -> np.ndarray:
        if isinstance(features, np.ndarray):
            return np.asarray(features, np.float32)
        if uid is None:
            raise EgolibError("say which video of the store: uid=...")
        stride = features.provenance.stride_frames
        if stride is not None and not np.isclose(stride, self.data.stride_frames):
            raise EgolibError(
                f"features of stride {stride}, the model was trained with "
                f"{self.data.stride_frames}",
                remedy="extract features with the model's stride",
            )
        return features.get(uid)


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
    device: str | torch.device = "cpu",
    text_padding: Padding | None = None,
    weights: Literal["official", "averaged"] = "official",
    model: ModelConfig | None = None,
    data: DataConfig | None = None,
    infer: InferConfig | None = None,
) -> Grounder:
    """A grounder from a checkpoint of ours (``.safetensors``) or an official file.

    Args:
        name: a path, ``nlq/<variant>`` or None for the newest finished training, or a
            repository on the Hugging Face Hub (see ``egolib.runs.inputs.locate``).
        text_padding: replaces what the model was configured with.
        weights: of an official file: ``official`` is what its evaluation uses, the live
            weights; ``averaged`` their moving average.
        model: of an official file: settings that leave no trace in the weights.
        data, infer: replace what the checkpoint says.

    Raises:
        UsageError: nothing of that name.
        EgolibError: the file is damaged or holds another model.
    """
    path = locate(name, "nlq")
    if path.suffix == ".safetensors":
        network, known = _load_ours(path, text_padding)
    else:
        start = model or ModelConfig()
        if text_padding is not None:
            start = replace(start, text_padding=text_padding)
        network, _ = read_official(path, weights=weights, start=start)
        known = {}
    data = data or build(DataConfig, known.get("data", {}))
    infer = infer or build(InferConfig, known.get("infer", {}))
    return Grounder(network, data, infer, device)


def _load_ours(path: str | Path, text_padding: Padding | None) -> tuple[GroundNLQ, dict[str, Any]]:
    state, sidecar = checkpoint.load(path)
    if not str(sidecar.get("model", "")).startswith("nlq"):
        raise EgolibError(f"a checkpoint of {sidecar.get('model')!r}, not of nlq", file=path)
    known = sidecar["config"]
    config = build(ModelConfig, known["model"])
    if text_padding is not None:
        config = replace(config, text_padding=text_padding)
    with torch.device("meta"):
        network = GroundNLQ(config)
    checkpoint.compare(state, network.state_dict()).require_complete(file=path)
    network.load_state_dict(state, assign=True)
    return network, known


def save(
    path: str | Path,
    model: GroundNLQ,
    data: DataConfig | None = None,
    infer: InferConfig | None = None,
    **sidecar: Any,
) -> Path:
    """Writes a checkpoint that ``load`` reads; returns the path of its tensor file.

    Args:
        sidecar: further JSON values, for instance step and metrics.
    """
    about = describe(model.config, data or DataConfig(), infer or InferConfig())
    return checkpoint.save(path, model.state_dict(), {**sidecar, **about})


def describe(model: ModelConfig, data: DataConfig, infer: InferConfig) -> dict[str, Any]:
    """What the sidecar of a checkpoint must say for ``load``: ``model`` and ``config``."""
    name = "nlq/groundnlq_star" if model.cross_branch_blocks else "nlq/groundnlq"
    parts = {"model": model, "data": data, "infer": infer}
    return {"model": name, "config": {key: to_tree(part) for key, part in parts.items()}}
