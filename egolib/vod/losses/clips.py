"""The objective of an update: the mean over its clips of the sum of a network's losses."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from egolib.vod.models.frames import Clip, Losses

NOT_A_LOSS = ("accuracy",)


class TrainingLoss:
    """From a network and a batch to named losses, as the engine wants it.

    The mean over clips, which is what one clip a GPU gives. The examples are drawn by
    torch's global generator, which the engine seeds and restores.
    """

    def __call__(self, model: nn.Module, batch: Iterable[Clip]) -> dict[str, Tensor]:
        """``loss`` (what is minimised), its parts, and the fraction ``accuracy``."""
        device = next(model.parameters()).device
        parts: list[Losses] = [model.losses(clip.to(device)) for clip in batch]  # type: ignore[operator]
        means = {name: torch.stack([p[name] for p in parts]).mean() for name in parts[0]}
        total = torch.stack([v for name, v in means.items() if name not in NOT_A_LOSS]).sum()
        return {"loss": total, **{name: value.detach() for name, value in means.items()}}
