"""Matching texts with videos against hard negatives of the batch.

Legend: b pairs of this process, N = W b pairs of all W processes; rows of
``similarity`` are texts, columns videos, pairs on the diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from egolib.engine.distributed import Backward, sum_over_processes

Crossing = Literal["official", "straight"]


@dataclass(frozen=True)
class MatchingPlan:
    """Which video goes with which text in the matching pass.

    Args:
        labels: (b,) int64, 1 where they belong together.
        video_source: (b,) int64 rows of the batch of all processes.
        text_source: (b,) int64 rows of the same.
    """

    labels: Tensor
    video_source: Tensor
    text_source: Tensor

    def rows(self, start: int, stop: int) -> MatchingPlan:
        """The plan of some of the pairs."""
        return MatchingPlan(
            self.labels[start:stop], self.video_source[start:stop], self.text_source[start:stop]
        )


def negative_weights(similarity: Tensor, positives: Tensor, temperature: float = 0.05) -> Tensor:
    """How likely each column is drawn as a negative of each row; not normalised.

    Args:
        similarity: (b, N).
        positives: (b, N) bool, columns that are drawn only where there is no other.
        temperature: divides similarities.
    """
    probability = F.softmax(similarity / temperature, dim=1)
    return probability.masked_fill(positives, 0) + 1e-9


def plan_matching(
    similarity: Tensor,
    positives: Tensor,
    *,
    temperature: float = 0.05,
    negatives: Crossing = "official",
    first: int = 0,
    count: int | None = None,
    generator: torch.Generator | None = None,
) -> MatchingPlan:
    """Draws the pairs of the matching pass: half stay, the others lose video or text.

    Official behaviour: a replacement *video* is drawn by the similarities of the
    video to all texts, a replacement *text* by those of the text to all videos.
    ``straight`` draws a video by the text's similarities and the other way round.

    Args:
        similarity: (N, N) float.
        positives: (N, N) bool.
        temperature: divides similarities.
        negatives: ``official`` or ``straight``.
        first: row of this process's first pair.
        count: its pairs; all that follow by default.
        generator: on the CPU; the default one if None.
    """
    count = len(similarity) - first if count is None else count
    own = slice(first, first + count)
    of_texts = negative_weights(similarity[own], positives[own], temperature)
    of_videos = negative_weights(similarity.mT[own], positives[own], temperature)
    if negatives == "straight":
        of_texts, of_videos = of_videos, of_texts
    labels = (torch.randperm(count, generator=generator) < count // 2).long()
    replace_video = torch.rand(count, generator=generator) > 0.5
    videos, texts = draw(of_videos, generator), draw(of_texts, generator)
    device = similarity.device
    own_rows = torch.arange(first, first + count, device=device)
    labels, replace_video = (to_device(x, device) for x in (labels, replace_video))
    return make_plan(labels, own_rows, replace_video, videos, texts, device)


def draw(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(b,) one column of each row of weights (b, N), likely in proportion to its weight.

    The numbers are drawn on the CPU and compared where the weights are, so that a GPU is not
    waited for: the smallest of exponential waiting times decides, as in
    ``torch.multinomial``, of which these are the draws on a CPU.
    """
    waits = torch.empty(weights.shape, dtype=weights.dtype).exponential_(generator=generator)
    return (weights / to_device(waits, weights.device)).argmax(1)


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, without waiting for what the device computes."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def make_plan(
    labels: Tensor,
    own_rows: Tensor,
    replace_video: Tensor,
    videos: Tensor,
    texts: Tensor,
    device: torch.device | str = "cpu",
) -> MatchingPlan:
    """The plan that given draws lead to.

    Args:
        labels: (b,) 1 keeps the pair.
        own_rows: (b,) rows of the pairs in the batch of all processes.
        replace_video: (b,) bool, whether a pair that is not kept loses its video.
        videos: (b,) the replacements.
        texts: (b,) the replacements.
        device: of the plan.
    """
    lost = labels == 0
    return MatchingPlan(
        labels.to(device),
        torch.where(lost & replace_video, videos, own_rows).to(device),
        torch.where(lost & ~replace_video, texts, own_rows).to(device),
    )


def matching(logits: Tensor, labels: Tensor, backward: Backward = "exact") -> Tensor:
    """Mean cross-entropy of match logits (b, 2) with labels (b,), over all processes.

    Args:
        logits: (b, 2); the second column stands for a match.
        labels: (b,) int64, 1 where text and video belong together.
        backward: how gradients cross processes, see ``distributed.gather_rows``.
    """
    total = F.cross_entropy(logits.float(), labels, reduction="sum")
    count = sum_over_processes(labels.new_full((), len(labels)), "local")
    return sum_over_processes(total, backward) / count
