"""Targets of a batch of clips, as the losses take them. B clips, T positions, M moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from egolib.mq.data.labels import ClipTargets


@dataclass(frozen=True)
class Targets:
    """What a batch of clips holds.

    Args:
        moments: for each clip (M, 2) float32 start and end in features.
        labels: for each clip (M,) int64 class of each moment.
        action: (B, T) class index inside moments, 0 outside.
        start: (B, T) how much of each position is near a start, in [0, 1].
        end: (B, T) the same for ends.
    """

    moments: Sequence[Tensor]
    labels: Sequence[Tensor]
    action: Tensor
    start: Tensor
    end: Tensor

    def to(self, device: torch.device | str) -> Targets:
        """The same on another device."""
        return Targets(
            [m.to(device) for m in self.moments],
            [n.to(device) for n in self.labels],
            *(x.to(device, non_blocking=True) for x in (self.action, self.start, self.end)),
        )

    def split(self, parts: int) -> list[Targets]:
        """At most so many consecutive parts, as ``torch.chunk`` makes them."""
        rows = torch.arange(len(self.moments)).chunk(parts)
        return [
            Targets(
                [self.moments[i] for i in part.tolist()],
                [self.labels[i] for i in part.tolist()],
                *(x[part[0] : part[-1] + 1] for x in (self.action, self.start, self.end)),
            )
            for part in rows
        ]


def stack_targets(clips: Sequence[ClipTargets]) -> Targets:
    """Targets of single clips as those of a batch."""
    return Targets(
        [torch.from_numpy(clip.moments) for clip in clips],
        [torch.from_numpy(clip.labels) for clip in clips],
        *(
            torch.from_numpy(np.stack([getattr(clip, name) for clip in clips]))
            for name in ("action", "start", "end")
        ),
    )
