"""The loss of a summariser: binary cross-entropy of the shots' scores with three targets.

Legend: S segments, M places, D width, n shots, T targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egolib.vlp.summarization.network import Summarizer

#: ``official`` sums over the queries of a batch, ``mean`` divides by their number.
Reduction = Literal["official", "mean"]


@dataclass
class SummarySequence:
    """Features of one video for one prompt, with the targets that its scores should reach.

    Args:
        features: (S, M, D) float.
        lengths: (S,) int, shots of every segment.
        targets: (T, n) float, 0 or 1.
    """

    features: Tensor
    lengths: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> SummarySequence:
        """The sequence on another device."""
        return SummarySequence(*(value.to(device) for value in vars(self).values()))


@dataclass
class SummaryBatch:
    """Some queries: first concept, second concept and both, for each.

    A prompt's targets share one sequence where its features do not depend on the prompt.

    Args:
        sequences: of all queries, query after query.
        queries: how many queries there are.
    """

    sequences: list[SummarySequence]
    queries: int

    def to(self, device: torch.device | str) -> SummaryBatch:
        """The batch on another device."""
        return SummaryBatch([s.to(device) for s in self.sequences], self.queries)

    def pin_memory(self) -> SummaryBatch:
        """The batch as it is: its features are large."""
        return self


def shot_scores(model: Summarizer, sequences: Sequence[SummarySequence]) -> list[Tensor]:
    """(n,) logits of every sequence; all segments that hold a shot are computed at once."""
    features = torch.cat([s.features[s.lengths > 0] for s in sequences])
    lengths = torch.cat([s.lengths[s.lengths > 0] for s in sequences])
    scores = model.score_shots(features, lengths)
    return list(torch.split(scores, [int(s.lengths.sum()) for s in sequences]))


def summary_losses(model: Summarizer, batch: SummaryBatch) -> Tensor:
    """(targets of all queries,) mean binary cross-entropy over the shots of each target."""
    losses = []
    for scores, sequence in zip(shot_scores(model, batch.sequences), batch.sequences, strict=True):
        expanded = scores.float().expand_as(sequence.targets)
        each = F.binary_cross_entropy_with_logits(expanded, sequence.targets, reduction="none")
        losses.append(each.mean(1))
    return torch.cat(losses)


class SummaryLoss:
    """The loss of a batch.

    Official behaviour: summed over the queries of a batch, so that the last, smaller batch
    of an epoch has a smaller gradient.

    Args:
        reduction: ``mean`` divides by the number of queries.
    """

    def __init__(self, reduction: Reduction = "official"):
        self.reduction = reduction

    def __call__(self, model: nn.Module, batch: SummaryBatch) -> dict[str, Tensor]:
        """``loss``."""
        assert isinstance(model, Summarizer)
        loss = summary_losses(model, batch).sum()
        return {"loss": loss / batch.queries if self.reduction == "mean" else loss}
