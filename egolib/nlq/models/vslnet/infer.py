"""Answers of VSLNet: ranked windows in seconds for questions about clips."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from egolib.errors import EgolibError
from egolib.io.feature_arrays import feature_array
from egolib.io.features import Store
from egolib.nlq.config import InferConfig
from egolib.nlq.config.span import SpanDataConfig, SpanInferConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.text import TextEncoder
from egolib.nlq.data.vslnet.batches import SpanItem, collate
from egolib.nlq.data.vslnet.dataset import SpanData, make_item
from egolib.nlq.data.vslnet.questions import sentence
from egolib.nlq.data.vslnet.sources import QuestionFeatures
from egolib.nlq.formats.submission import prediction
from egolib.nlq.models.vslnet.decode import decode
from egolib.nlq.models.vslnet.network import Vslnet
from egolib.progress import track
from egolib.report.results import Moments


class SpanGrounder:
    """A network with everything that turns its outputs into windows in seconds.

    Args:
        model: the network; it is put into evaluation mode.
        data: grid, cells and merging that it was trained with.
        infer: decoding and batching.
        device: where to compute.
        text_encoder: turns a question into the token states that it was trained on.
    """

    def __init__(
        self,
        model: Vslnet,
        data: SpanDataConfig | None = None,
        infer: SpanInferConfig | None = None,
        device: str | torch.device = "cpu",
        text_encoder: TextEncoder | None = None,
    ):
        self.model = model.to(device).eval()
        self.data, self.infer = data or SpanDataConfig(), infer or SpanInferConfig()
        self.device, self.text_encoder = torch.device(device), text_encoder

    def ground(
        self,
        features: np.ndarray | Tensor | Store,
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
            features: (n, V) features of one video, or a store.
            question: the text; it is brought into its canonical form.
            text_encoder: turns that into token states (L, W), or into those and a mask
                (L,) where they include the padding's; by default the grounder's own.
            uid: which video of a store.
            duration_sec: length of the video; a store knows it.
            cues: none; GroundNLQ's grounder takes some.
            infer: its part ``span`` in place of the grounder's own.

        Raises:
            EgolibError: the length is not known, no encoder or cues are given, or features or
                tokens are of no use.
        """
        if cues:
            raise EgolibError("VSLNet reads no cues", remedy="leave cues out")
        uid, encoder = uid or "video", text_encoder or self.text_encoder
        if encoder is None:
            raise EgolibError("no text encoder is known", remedy="pass text_encoder=...")
        if isinstance(features, Store):
            video = features.get(uid)
            duration_sec = duration_sec or len(video) / features.provenance.rows_per_sec
        else:
            video = feature_array(features, record=uid)
        if duration_sec is None:
            raise EgolibError("the length of the video is not known", remedy="give duration_sec")
        encoded: Any = encoder(sentence(question))
        tokens, mask = encoded if isinstance(encoded, tuple) else (encoded, None)
        mask = np.ones(len(tokens), bool) if mask is None else np.asarray(mask, bool)
        query = Query(question, "question_0", duration_sec, uid)
        found = QuestionFeatures(np.asarray(video, np.float32), tokens, mask)
        item = make_item(query, found, self.model.config, self.data)
        return self.answer_items([item], infer.span if infer else None)[0]

    def predict(self, data: SpanData) -> list[dict[str, Any]]:
        """Prediction records of all questions, in their order (the submission format)."""
        return [
            prediction(query, moments.segments_sec, moments.scores)
            for query, moments in zip(data.queries, self.answers(data), strict=True)
        ]

    def answers(self, data: SpanData) -> list[Moments]:
        """Ranked windows of all questions, in their order."""
        found: dict[int, Moments] = {}
        for part, moments in self.stream(data):
            found |= zip(part, moments, strict=True)
        return [found[index] for index in range(len(data))]

    @torch.inference_mode()
    def answer_items(
        self, items: list[SpanItem], infer: SpanInferConfig | None = None
    ) -> list[Moments]:
        """Ranked windows of a few questions, which are computed as one batch."""
        batch = collate(items, targets=False).to(self.device)
        spans = self.model(batch.video, batch.video_mask, batch.tokens, batch.token_mask)
        found = decode(spans, batch.units, batch.durations_sec, infer or self.infer)
        return [
            Moments(
                question=item.query.text,
                segments_sec=windows.astype(float),
                scores=scores.astype(float),
                duration_sec=item.query.duration_sec,
                truth_sec=_truth(item.query),
            )
            for item, (windows, scores) in zip(items, found, strict=True)
        ]

    def stream(
        self, data: SpanData, done: Collection[int] = ()
    ) -> Iterator[tuple[list[int], list[Moments]]]:
        """Ranked windows as they are found: (indices of some questions, their answers).

        Args:
            data: the questions and their features.
            done: indices of questions that need no answer any more.
        """
        left = [part for part in self.parts(data) if not set(part) <= set(done)]
        for part in track(left, "grounding", unit="batch"):
            yield part, self.answer_items([data[i] for i in part])

    def parts(self, data: SpanData) -> Iterator[list[int]]:
        """Indices of the questions that are padded together."""
        order = list(range(len(data)))
        if self.infer.batch_order == "by_length":
            lengths = [data.source.length(query) or 0 for query in data.queries]
            order.sort(key=lengths.__getitem__)
        size = self.infer.batch_size
        for first in range(0, len(order), size):
            yield order[first : first + size]


def _truth(query: Query) -> np.ndarray | None:
    return None if query.windows_sec is None else np.array(query.windows_sec, float)
