"""A small VSLNet, invented stores and questions, shared by its tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from egolib.nlq.config.span import SpanDataConfig, VslnetConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.batches import SpanBatch, collate
from egolib.nlq.data.vslnet.dataset import SpanData
from egolib.nlq.data.vslnet.sources import StoreSource
from egolib.nlq.models.vslnet.network import Vslnet
from tests.nlq.small import Memory

FULL = VslnetConfig(
    video_width=12, text_width=6, width=16, heads=2, max_length=32, conv_layers=2, dropout=0.0
)
SMALL = replace(FULL, fusion="concatenation")
DATA = SpanDataConfig(tokens=8)
RATE = 1.875


def network(config: VslnetConfig = FULL, seed: int = 0) -> Vslnet:
    """A network whose every part has an effect: norms and biases at random."""
    torch.manual_seed(seed)
    model = Vslnet(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def queries(lengths: tuple[int, ...] = (30, 17, 9), each: int = 2) -> list[Query]:
    """Questions about clips of so many features."""
    rng = np.random.default_rng(0)
    found = []
    for clip, length in enumerate(lengths):
        duration = length / RATE
        for index in range(each):
            start = float(rng.uniform(0, 0.6 * duration))
            window = (start, start + float(rng.uniform(0.2, 0.4)) * duration)
            found.append(
                Query(f"What {index}?", f"a{clip}_{index}", duration, f"c{clip}", (window,))
            )
    return found


def source(lengths: tuple[int, ...] = (30, 17, 9), each: int = 2, words: int = 5) -> StoreSource:
    """Random features by clip, random tokens by question, with states of the padding."""
    rng = np.random.default_rng(1)
    asked = [q.query_id for q in queries(lengths, each)]
    videos = {f"c{i}": rng.standard_normal((n, FULL.video_width)) for i, n in enumerate(lengths)}
    tokens = {uid: rng.standard_normal((DATA.tokens, FULL.text_width)) for uid in asked}
    masks = {uid: (np.arange(DATA.tokens) < words).reshape(-1, 1) for uid in asked}
    return StoreSource(
        Memory("video", videos, FULL.video_width),
        Memory("text", tokens, FULL.text_width),
        Memory("text", masks, 1),
    )


def data(config: VslnetConfig = FULL, lengths: tuple[int, ...] = (30, 17, 9)) -> SpanData:
    """Questions with features."""
    return SpanData(queries(lengths), source(lengths), config, DATA)


def batch(config: VslnetConfig = FULL, lengths: tuple[int, ...] = (30, 17, 9)) -> SpanBatch:
    """All of them, padded."""
    items = data(config, lengths)
    return collate([items[i] for i in range(len(items))])


def run(model: Vslnet, inputs: SpanBatch):
    """The network's outputs, without gradients."""
    with torch.inference_mode():
        return model(inputs.video, inputs.video_mask, inputs.tokens, inputs.token_mask)
