"""Head outputs of named streams."""

from __future__ import annotations

from typing import Any

import torch

from tests.parity.recordings import normal


def named_levels(
    stream: str, choice: str, kind: str, clips: int, values: int, config: Any
) -> list[torch.Tensor]:
    """Head outputs (B, S * values, T / 2^l) of named streams, fine to coarse."""
    start, *_, end = stream.replace(choice, kind).partition("<level, finest 0>")
    channels = len(config.anchor_scales) * values
    return [
        torch.from_numpy(normal(f"{start}{level}{end}", (clips, channels, n)))
        for level, n in enumerate(config.level_lengths)
    ]
