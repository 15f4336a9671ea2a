"""A network that answers questions about a clip with one of a closed set of answers.

Legend: B batch, F frames, N video tokens, L text tokens, D width, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egolib.errors import EgolibError
from egolib.vlp.config import ModelConfig
from egolib.vlp.models.build import initialise
from egolib.vlp.models.model import VideoLanguageModel

DROPOUT = 0.2


@dataclass(frozen=True)
class AnsweringConfig:
    """The network and its answers.

    Args:
        backbone: the video and language network.
        answers: A.
        dropout: between the two layers of the head.
    """

    backbone: ModelConfig
    answers: int
    dropout: float = DROPOUT


class AnswerHead(nn.Module):
    """Scores of all answers from a class token (EgoVLPv2, arXiv 2307.05463, appendix).

    Official behaviour: the hidden layer is as wide as there are answers.

    Args:
        width: D.
        answers: A.
        dropout: after the hidden layer.
    """

    def __init__(self, width: int, answers: int, dropout: float = DROPOUT):
        super().__init__()
        self.hidden = nn.Linear(width, answers)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(answers, answers)

    def forward(self, token: Tensor) -> Tensor:
        """(B, A) logits of class tokens (B, D)."""
        logits: Tensor = self.score(self.dropout(F.relu(self.hidden(token))))
        return logits


class QuestionAnsweringModel(VideoLanguageModel):
    """The pre-trained network with an answer head on the fused video class token."""

    def __init__(self, config: AnsweringConfig):
        super().__init__(config.backbone)
        self.answering = config
        self.answer = AnswerHead(config.backbone.width, config.answers, config.dropout)

    def forward(self, video: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, A) logits of questions (B, L) about clips (B, F, 3, height, width).

        Args:
            video: (B, F, 3, height, width) float, normalised.
            ids: (B, L) int64 token ids of the questions.
            mask: (B, L), 1 for tokens.
        """
        logits: Tensor = self.answer(self.fuse_pairs(video, ids, mask).video_class)
        return logits

    def require_answers(self, count: int) -> None:
        """Raises where a split has another number of answers than the network.

        Raises:
            EgolibError: it has.
        """
        if count != self.answering.answers:
            raise EgolibError(
                f"a network of {self.answering.answers} answers for a split of {count}",
                remedy="it was trained on the other split, or on other files",
            )

    def answer_prefixes(self, video: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """(B, A) logits from ``video_prefix`` (B, N, D) and ``text_prefix`` (B, L, D).

        Args:
            video: of each question's clip; the prefix of one clip serves all its questions.
            text: of the questions.
            mask: (B, L), 1 for tokens.
        """
        logits: Tensor = self.answer(self.fuse(video, text, mask).video_class)
        return logits


def build_empty_answering(config: AnsweringConfig) -> QuestionAnsweringModel:
    """A network whose weights hold whatever lay in memory: load a state dict into it."""
    with torch.device("meta"):
        model = QuestionAnsweringModel(config)
    return model.to_empty(device="cpu")


def build_answering(
    config: AnsweringConfig, generator: torch.Generator | None = None
) -> QuestionAnsweringModel:
    """A network with random weights; the head has PyTorch's own start.

    Args:
        config: the network.
        generator: for the weights; the default one if None.
    """
    model = build_empty_answering(config)
    initialise(model, generator=generator)
    reset_head(model.answer, generator)
    return model


@torch.no_grad()
def reset_head(head: AnswerHead, generator: torch.Generator | None = None) -> None:
    """Draws both layers uniformly within one over the root of their inputs."""
    for layer in (head.hidden, head.score):
        bound = layer.in_features**-0.5
        for values in (layer.weight, layer.bias):
            nn.init.uniform_(values, -bound, bound, generator)
