"""Networks with the recordings' weights, and the recordings' inputs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from egolib.nlq.config.span import VslnetConfig
from egolib.nlq.data.annotations import Query
from egolib.nlq.data.vslnet.batches import SpanBatch, SpanItem, collate
from egolib.nlq.models.vslnet.convert import KEYS, to_official
from egolib.nlq.models.vslnet.network import Vslnet
from tests.parity.recordings import normal, stream
from tests.parity.weights import describe, make_state_dict

TEXT_WIDTH = 768  # of every text in these recordings


def configuration(options: dict[str, Any], small: bool) -> VslnetConfig:
    """Our configuration of the official options."""
    return VslnetConfig(
        video_width=options["video_feature_dim"],
        text_width=TEXT_WIDTH,
        width=options["dim"],
        heads=options["num_heads"],
        max_length=options["max_pos_len"],
        dropout=options["drop_rate"],
        fusion="concatenation" if small else "attention",
    )


@cache
def network(config: VslnetConfig, seed: int, device: str) -> Vslnet:
    """A network with recorded weights, in evaluation mode; shared, so it must stay as it is."""
    model = Vslnet(config).eval()
    drawn = make_state_dict(describe(to_official(model)), seed)
    KEYS.load(model, {name: torch.from_numpy(value) for name, value in drawn.items()})
    return model.to(device)


def batch(
    name: str, config: VslnetConfig, lengths: list[int], words: list[int], tokens: int
) -> SpanBatch:
    """The named batch with its labels.

    Args:
        name: with the recording's tag.
        config: widths.
        lengths: of the videos.
        words: tokens of each question.
        tokens: of the longest question.
    """
    texts = normal(f"{name}/text", (len(lengths), tokens, config.text_width))
    cells = zip(*labels(f"{name}/labels", lengths), strict=True)
    items = [
        SpanItem(
            query=Query("", f"{name}_{i}", float(length), name),
            video=normal(f"{name}/video/{i}", (length, config.video_width)),
            tokens=texts[i],
            token_mask=np.arange(tokens) < words[i],
            units=length,
            duration_sec=float(length),
            cells=answer,
        )
        for i, (length, answer) in enumerate(zip(lengths, cells, strict=True))
    ]
    return collate(items)


def labels(name: str, lengths: list[int]) -> tuple[list[int], list[int]]:
    """Starts and ends of a named batch."""
    rng = stream(name)
    starts = [int(rng.integers(0, length)) for length in lengths]
    return starts, [int(rng.integers(s, n)) for s, n in zip(starts, lengths, strict=True)]


def gradient_norms(model: Vslnet) -> dict[str, float]:
    """L2 norms of the gradients by official names."""
    return {
        str(KEYS.official_name(name)): p.grad.norm().item()
        for name, p in model.named_parameters()
        if p.grad is not None
    }
