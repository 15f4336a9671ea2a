"""Boundary adjustment: each end of a box is moved by what the features around it say.

B clips, C channels, T positions, A boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.mq.config import ModelConfig

REACH = 8  # the outer columns lie an eighth of the box's length away


class BoundaryOffset(nn.Module):
    """The offset of one end, from three columns: left of it, at it, right of it.

    The convolution over the three columns is a sum of three linear maps; each map is
    computed once for every position and gathered for the boxes.
    """

    def __init__(self, width: int):
        super().__init__()
        self.hidden = nn.Conv1d(width, width, 3)
        self.output = nn.Conv1d(width, 1, 1)

    def forward(self, finest: Tensor, columns: Tensor) -> Tensor:
        """(B, A) offsets in features.

        Args:
            finest: (B, C, T) finest decoder level.
            columns: (B, A, 3) int64 positions, left to right.
        """
        weight = torch.cat(self.hidden.weight.unbind(-1))  # 3C C
        mapped = finest.transpose(1, 2) @ weight.T  # B T 3C
        batch, positions, _ = mapped.shape
        rows = mapped.reshape(batch * positions * 3, -1)
        first = torch.arange(batch, device=columns.device)[:, None, None] * positions
        tap = torch.arange(3, device=columns.device)
        index = ((columns + first) * 3 + tap).reshape(-1, 3)  # B*A 3
        summed = nn.functional.embedding_bag(index, rows, mode="sum")
        hidden = (summed + self.hidden.get_parameter("bias")).relu()
        offset = nn.functional.linear(hidden, self.output.weight[:, :, 0], self.output.bias)
        return offset.float().view(batch, -1)


class BoundaryAdjustment(nn.Module):
    """Moves both ends of every box; positions carry no gradient, features do."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.start = BoundaryOffset(config.width)
        self.end = BoundaryOffset(config.width)

    def forward(self, boxes: Tensor, finest: Tensor) -> Tensor:
        """(B, A, 2) offsets of starts and ends, in features.

        Args:
            boxes: (B, A, 2) in features; they may reach beyond the clip.
            finest: (B, C, T) finest decoder level.
        """
        starts, ends = (_columns(boxes.detach(), side, finest.shape[2]) for side in (0, 1))
        return torch.stack([self.start(finest, starts), self.end(finest, ends)], -1)


def _columns(boxes: Tensor, side: int, positions: int) -> Tensor:
    """(B, A, 3) positions around one end of boxes (B, A, 2) clamped to the clip.

    Official behaviour: positions are cut toward zero before they are clamped.
    """
    inside = boxes.clamp(0, positions - 1)
    reach = (inside[..., 1] - inside[..., 0] + 1) / REACH
    end = inside[..., side]
    return torch.stack([end - reach, end, end + reach], -1).long().clamp(0, positions - 1)
