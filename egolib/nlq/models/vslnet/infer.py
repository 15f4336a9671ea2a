"""Answers of VSLNet: ranked windows in seconds for questions about clips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from egolib.errors import EgolibError
from egolib.io.features import Store
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.text import TextEncoder
from egolib.nlq.data.vslnet.batches import SpanItem, collate
from egolib.nlq.data.vslnet.dataset import SpanData, make_item
from egolib.nlq.data.vslnet.questions import sentence
from egolib.nlq.data.vslnet.sources import QuestionFeatures
from egolib.nlq.formats.submission import prediction
from egolib.nlq.models.vslnet.config import SpanDataConfig, SpanInferConfig
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
    """

    def __init__(
        self,
        model: Vslnet,
        data: SpanDataConfig | None = None,
        infer: SpanInferConfig | None = None,
        device: str | torch.device = "cpu",
    ):
        self.model = model.to(device).eval()
        self.data, self.infer = data or SpanDataConfig(), infer or SpanInferConfig()
        self.device = torch.device(device)

    def ground(
        self,
        features: np.ndarray | Store,
        question: str,
        *,
        text_encoder: TextEncoder,
        uid: str = "video",
        duration_sec: float | None = None,
    ) -> Moments:
        """Windows that answer a question, best first.

        Args:
            features: (n, V) features of one video, or a store.
            question: the text; it is brought into its canonical form.
            text_encoder: turns that into token states (L, W), or into those and a mask
                (L,) where they include the padding's.
            uid: which video of a store.
            duration_sec: length of the video; a store knows it.

        Raises:
            EgolibError: the length is not known, or features or tokens are of no use.
        """
        if not isinstance(features, np.ndarray):
            video = features.get(uid)
            duration_sec = duration_sec or len(video) / features.provenance.rows_per_sec
        else:
            video = features
        if duration_sec is None:
            raise EgolibError("the length of the video is not known", remedy="give duration_sec")
        encoded: Any = text_encoder(sentence(question))
        tokens, mask = encoded if isinstance(encoded, tuple) else (encoded, None)
        mask = np.ones(len(tokens), bool) if mask is None else np.asarray(mask, bool)
        query = Query(question, "question_0", duration_sec, uid)
        found = QuestionFeatures(np.asarray(video, np.float32), tokens, mask)
        return self.answer_items([make_item(query, found, self.model.config, self.data)])[0]

    def predict(self, data: SpanData) -> list[dict[str, Any]]:
        """Prediction records of all questions, in their order (the submission format)."""
        return [
            prediction(query, moments.segments_sec, moments.scores)
            for query, moments in zip(data.queries, self.answers(data), strict=True)
        ]

    def answers(self, data: SpanData) -> list[Moments]:
        """Ranked windows of all questions, in their order."""
        found: dict[int, Moments] = {}
        for part in track(list(self._parts(data)), "grounding", unit="batch"):
            found |= zip(part, self.answer_items([data[i] for i in part]), strict=True)
        return [found[index] for index in range(len(data))]

    @torch.inference_mode()
    def answer_items(self, items: list[SpanItem]) -> list[Moments]:
        """Ranked windows of a few questions, which are computed as one batch."""
        batch = collate(items, targets=False).to(self.device)
        spans = self.model(batch.video, batch.video_mask, batch.tokens, batch.token_mask)
        found = decode(spans, batch.units, batch.durations_sec, self.infer)
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

    def _parts(self, data: SpanData) -> Iterator[list[int]]:
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
