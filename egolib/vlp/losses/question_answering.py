"""One training step of question answering: cross-entropy over a closed set of answers.

Legend: B questions of this process, F frames, L tokens, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egolib.engine.distributed import Backward, sum_over_processes
from egolib.vlp.models.question_answering import QuestionAnsweringModel

#: ``official``: 1 / W of the gradient of one process on the whole batch, with W processes.
GatherGradient = Literal["official", "exact"]


@dataclass
class QuestionBatch:
    """Clips with one question each.

    Args:
        video: (B, F, 3, height, width) float, normalised.
        ids: (B, L) int64 tokens of the questions.
        mask: (B, L) int64, 1 for tokens.
        answer: (B,) int64, the right answers.
    """

    video: Tensor
    ids: Tensor
    mask: Tensor
    answer: Tensor

    def to(self, device: torch.device | str) -> QuestionBatch:
        """The batch on another device."""
        return QuestionBatch(**{k: v.to(device) for k, v in vars(self).items()})

    def pin_memory(self) -> QuestionBatch:
        """The batch in page-locked memory."""
        return QuestionBatch(**{k: v.pin_memory() for k, v in vars(self).items()})


def answer_loss(logits: Tensor, answer: Tensor, backward: Backward = "exact") -> Tensor:
    """Mean cross-entropy over the questions of all processes.

    Sums are exchanged instead of logits: the same loss as over all gathered logits.

    Args:
        logits: (B, A) float.
        answer: (B,) int64.
        backward: see ``egolib.engine.distributed.gather_rows``.
    """
    total = F.cross_entropy(logits.float(), answer, reduction="sum")
    count = sum_over_processes(torch.tensor(len(answer), device=logits.device), "local")
    return sum_over_processes(total, backward) / count


class AnswerLoss:
    """The loss of a batch, and the fraction of its questions that are answered right.

    Args:
        gather_gradient: with several processes, ``official`` gives each process's part of
            the global loss alone, which data-parallel averaging turns into 1 / W of the
            gradient; ``exact`` equals one process on the whole batch.
    """

    def __init__(self, gather_gradient: GatherGradient = "official"):
        self.backward: Backward = "exact" if gather_gradient == "exact" else "local"

    def __call__(self, model: nn.Module, batch: QuestionBatch) -> dict[str, Tensor]:
        """``loss``, and ``accuracy`` in [0, 1]."""
        assert isinstance(model, QuestionAnsweringModel)
        logits = model(batch.video, batch.ids, batch.mask)
        accuracy = (logits.detach().argmax(1) == batch.answer).float().mean()
        return {"loss": answer_loss(logits, batch.answer, self.backward), "accuracy": accuracy}
