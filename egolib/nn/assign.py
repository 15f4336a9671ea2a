"""Which boxes learn which truth, and which of them enter the loss.

N boxes; G true boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from egolib.nn.config import AssignConfig, SampleConfig

BACKGROUND = -1
IGNORED = -2


def assign(overlaps: Tensor, config: AssignConfig) -> Tensor:
    """The truth of every box: an index below G, ``BACKGROUND`` or ``IGNORED``; (N,) int64.

    Args:
        overlaps: (G, N) IoU of truths and boxes; G may be 0.
        config: thresholds, and what low overlaps count for.

    Official behaviour: with ``low_quality="assign"`` (mmdetection) a box that is the best
    of several truths goes to the last of them, whatever it overlaps most; with
    ``restore`` (maskrcnn-benchmark, detectron2) it goes to the one it overlaps most.
    """
    truths, count = overlaps.shape
    if not truths or not count:
        return overlaps.new_full((count,), BACKGROUND, dtype=torch.int64)
    best, nearest = overlaps.max(dim=0)
    matches = torch.full_like(nearest, IGNORED)
    matches[best < config.negative] = BACKGROUND
    matches = torch.where(best >= config.positive, nearest, matches)
    if config.low_quality != "none":
        _add_best_boxes(matches, overlaps, nearest, config)
    return matches


def _add_best_boxes(
    matches: Tensor, overlaps: Tensor, nearest: Tensor, config: AssignConfig
) -> None:
    highest = overlaps.max(dim=1).values  # (G,)
    is_best = (overlaps == highest[:, None]) & (highest >= config.low_quality_minimum)[:, None]
    chosen = is_best.any(dim=0)
    if config.low_quality == "restore":
        matches[chosen] = nearest[chosen]
    elif config.low_quality == "assign":
        order = torch.arange(1, len(overlaps) + 1, device=overlaps.device)
        last = (is_best * order[:, None]).max(dim=0).values - 1  # (N,)
        matches[chosen] = last[chosen]
    else:
        raise ValueError(f"low_quality is none, assign or restore, not {config.low_quality!r}")


def sample(
    matches: Tensor, config: SampleConfig, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Indices of the positive and of the negative boxes that enter the loss.

    Positive ones are drawn first, negative ones fill up to ``config.number``.

    Args:
        matches: (N,) from ``assign``.
        config: how many, and which part of them may be positive.
        generator: CPU generator; torch's global one without it.
    """
    positive = _draw(
        (matches >= 0).nonzero()[:, 0], int(config.number * config.positive_fraction), generator
    )
    negative = _draw(
        (matches == BACKGROUND).nonzero()[:, 0], config.number - len(positive), generator
    )
    return positive, negative


def _draw(candidates: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    if len(candidates) <= number:
        return candidates
    order = torch.randperm(len(candidates), generator=generator)[:number]
    return candidates[order.to(candidates.device)]
