"""A small network, invented stores and questions, shared by the tests of nlq."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from egolib.io.features import Provenance
from egolib.nlq.config import DataConfig, ModelConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.dataset import NlqData
from egolib.nlq.models.network import GroundNLQ

SMALL = ModelConfig(
    video_streams=(("video", 12),),
    text_streams=(("query", 6),),
    max_length=256,
    width=16,
    head_width=16,
    heads=2,
    text_blocks=2,
    stem_blocks=2,
    plain_branch_blocks=4,
)
CUES = replace(
    SMALL,
    video_streams=(("egovideo", 8), ("shots", 4)),
    text_streams=(("query", 6), ("objects", 5), ("captions", 7)),
)


class Memory:
    """A store in memory."""

    def __init__(self, kind: str, arrays: dict[str, np.ndarray], width: int):
        self.arrays, self.provenance = arrays, Provenance(kind, width)

    def get(self, uid: str) -> np.ndarray:
        return self.arrays[uid].astype(np.float32)

    def uids(self) -> list[str]:
        return sorted(self.arrays)

    def length(self, uid: str) -> int:
        return len(self.arrays[uid])

    def __contains__(self, uid: object) -> bool:
        return uid in self.arrays


def network(config: ModelConfig = SMALL, seed: int = 0) -> GroundNLQ:
    """A network whose every part has an effect: gains of 1, norms and biases at random."""
    torch.manual_seed(seed)
    model = GroundNLQ(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(1.0)
            elif parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def data(
    config: ModelConfig = SMALL, lengths: tuple[int, ...] = (60, 17, 40), each: int = 3, **options
) -> NlqData:
    """Questions about invented clips, with random features."""
    rng = np.random.default_rng(0)
    width = sum(w for _, w in config.video_streams)
    videos = {f"clip{i}": rng.standard_normal((n, width)) for i, n in enumerate(lengths)}
    queries, tokens = [], {name: {} for name, _ in config.text_streams}
    for uid, video in videos.items():
        duration = len(video) * 16.043 / 30
        for index in range(each):
            start = float(rng.uniform(0, 0.7 * duration))
            window = (start, start + float(rng.uniform(1, 0.3 * duration)))
            query = Query(f"what {index}", f"{uid}a_{index}", duration, uid, (window,))
            queries.append(query)
            for name, text_width in config.text_streams:
                length = int(rng.integers(1, 9))
                tokens[name][query.query_id] = rng.standard_normal((length, text_width))
    texts = {name: Memory("text", tokens[name], w) for name, w in config.text_streams}
    return NlqData(queries, Memory("video", videos, width), texts, config, DataConfig(), **options)
