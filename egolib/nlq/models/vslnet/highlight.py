"""Query-guided highlighting: how likely each position lies in or near the answer.

Shapes: B batch, T positions, C channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from egolib.nlq.models.vslnet.masks import blocked


class Highlight(nn.Module):
    """Logits (B, T) of video positions; sigmoids of them scale the features."""

    def __init__(self, width: int):
        super().__init__()
        self.output = nn.Linear(width, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T) from (B, T, C); masked positions get -1e30, that is probability 0."""
        return blocked(self.output(x).squeeze(2), mask)
