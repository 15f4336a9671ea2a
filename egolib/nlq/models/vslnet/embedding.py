"""Where features enter the network.

Shapes: B batch, T positions, V feature width, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.errors import EgolibError


class VideoEmbedding(nn.Module):
    """(B, T, V) -> (B, T, C): dropout, then a linear map."""

    def __init__(self, inputs: int, width: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(inputs, width)

    def forward(self, video: Tensor) -> Tensor:
        projected: Tensor = self.linear(self.dropout(video))
        return projected


class Positions(nn.Module):
    """Adds a learned vector for every position; padding gets its own as well."""

    def __init__(self, length: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(length, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) from (B, T, C).

        Raises:
            EgolibError: T exceeds the table.
        """
        if x.shape[1] > len(self.table):
            raise EgolibError(
                f"{x.shape[1]} positions for a table of {len(self.table)}",
                remedy="merge the features to at most model.max_length rows, or raise it",
            )
        return x + self.table[: x.shape[1]]
