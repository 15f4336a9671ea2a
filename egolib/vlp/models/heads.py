"""What turns tokens into embeddings, match scores and words.

Legend: B batch, L text tokens, D width, V vocabulary, P embedding width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def projector(side: str, kind: str, width: int, out: int) -> nn.Sequential:
    """The map from a class token (B, D) to an embedding (B, P).

    Official behaviour: the small text projector starts with a ReLU, *before* its only
    linear layer.

    Args:
        side: ``video`` or ``text``.
        kind: ``large`` (three layers) or ``small`` (one).
        width: of the class token.
        out: P.
    """
    if kind == "large":
        return nn.Sequential(
            nn.Linear(width, out, bias=False),
            nn.ReLU(),
            nn.Linear(out, out),
            nn.ReLU(),
            nn.Linear(out, out),
        )
    first = [nn.ReLU()] if side == "text" else []
    return nn.Sequential(*first, nn.Linear(width, out))


class MatchingHead(nn.Module):
    """Whether a text and a video belong together, from both fused class tokens.

    Args:
        text_width: of the transformed text class token.
        video_width: of the transformed video class token.
    """

    def __init__(self, text_width: int, video_width: int):
        super().__init__()
        self.text_pooler = nn.Linear(text_width, text_width)
        self.video_pooler = nn.Linear(video_width, video_width)
        self.classify = nn.Linear(text_width + video_width, 2)

    def forward(self, text: Tensor, video: Tensor) -> Tensor:
        """(B, 2) logits, 1 is a match, from text (B, D) and video (B, D) class tokens."""
        pooled = [torch.tanh(self.text_pooler(text)), torch.tanh(self.video_pooler(video))]
        logits: Tensor = self.classify(torch.cat(pooled, -1))
        return logits


class MaskedLanguageHead(nn.Module):
    """Which word stands at a token; the decoder is not tied to the word embeddings.

    Args:
        width: D.
        vocabulary_size: V.
    """

    def __init__(self, width: int, vocabulary_size: int):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.decode = nn.Linear(width, vocabulary_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., V) logits from tokens (..., D)."""
        logits: Tensor = self.decode(self.norm(F.gelu(self.dense(tokens))))
        return logits
