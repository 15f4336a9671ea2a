"""How the question reaches the video.

Shapes: B batch, T video positions, L tokens, C channels. Masks are bool, true at valid
positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from egolib.nlq.models.vslnet.masks import blocked


def xavier_vector(width: int, shape: tuple[int, ...]) -> nn.Parameter:
    """A vector (C,) with the Xavier bounds of the shape that the official code gives it."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)).reshape(width))


class ContextQueryAttention(nn.Module):
    """Each video position looks at the tokens, and through them at the other positions.

    VSLNet, section 3.2, after QANet: with a trilinear similarity S, A its softmax over
    tokens and B over positions, the output is a linear map of
    [V, A Q, V * A Q, V * A B^T V].
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.video_weight = xavier_vector(width, (width, 1))
        self.token_weight = xavier_vector(width, (width, 1))
        self.product_weight = xavier_vector(width, (1, 1, width))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(4 * width, width)

    def forward(self, video: Tensor, tokens: Tensor, mask: Tensor, token_mask: Tensor) -> Tensor:
        """Fused features (B, T, C).

        Args:
            video: (B, T, C), encoded.
            tokens: (B, L, C), encoded.
            mask: (B, T) of the video.
            token_mask: (B, L).
        """
        similarity = self._similarity(self.dropout(video), self.dropout(tokens))  # B T L
        over_tokens = blocked(similarity, token_mask.unsqueeze(1)).softmax(2)
        over_video = blocked(similarity, mask.unsqueeze(2)).softmax(1)
        asked = over_tokens @ tokens  # B T C
        seen = over_tokens @ (over_video.transpose(1, 2) @ video)  # B T C
        fused: Tensor = self.output(torch.cat([video, asked, video * asked, video * seen], 2))
        return fused

    def _similarity(self, video: Tensor, tokens: Tensor) -> Tensor:
        single = (video @ self.video_weight).unsqueeze(2) + (tokens @ self.token_weight).unsqueeze(
            1
        )
        return single + (video * self.product_weight) @ tokens.transpose(1, 2)


class Concatenation(nn.Module):
    """Every video position beside one vector for the whole question, then a linear map."""

    def __init__(self, width: int):
        super().__init__()
        self.pooling_weight = xavier_vector(width, (width, 1))
        self.output = nn.Linear(2 * width, width)

    def forward(self, video: Tensor, tokens: Tensor, token_mask: Tensor) -> Tensor:
        """Fused features (B, T, C).

        Args:
            video: (B, T, C), encoded, perhaps fused already.
            tokens: (B, L, C), encoded.
            token_mask: (B, L).
        """
        share = blocked(tokens @ self.pooling_weight, token_mask).softmax(1)  # B L
        question = share.unsqueeze(1) @ tokens  # B 1 C
        fused: Tensor = self.output(torch.cat([video, question.expand_as(video)], 2))
        return fused
