"""From starts and ends to ranked windows in seconds.

Shapes: B batch, T positions, K windows of a question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from egolib.errors import EgolibError
from egolib.nlq.config.span import SpanInferConfig
from egolib.nlq.data.vslnet.cells import to_seconds
from egolib.nlq.models.vslnet.network import Spans
from egolib.ops.segments import hard_nms

CELL = 1e-6  # of a cell: so little is missing from a whole one through rounding


@dataclass(frozen=True)
class Pairs:
    """The likeliest pairs of cells of one question, best first.

    Args:
        start: (K,) int64, first cells.
        end: (K,) int64, last cells, inclusive.
        probability: (K,) float32, that of the start times that of the end.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    probability: NDArray[np.float32]


def best_pairs(
    start: Tensor,
    end: Tensor,
    count: int = 5,
    *,
    mask: Tensor | None = None,
    longest: Tensor | None = None,
) -> list[Pairs]:
    """The likeliest pairs with start <= end of each question.

    Official behaviour (without ``mask``): where fewer than ``count`` pairs are likely,
    impossible ones of probability 0 fill the list, in an order that depends on the
    kernel: starts after ends, cells in the padding.

    Args:
        start: (B, T) logits of the first cell.
        end: (B, T) logits of the last cell.
        count: how many pairs a question gets.
        mask: (B, T) valid positions; only pairs inside it are given then, perhaps
            fewer than ``count``.
        longest: (B,) int64, the most cells of a pair; needs a mask.

    Raises:
        EgolibError: without ``mask``, a batch of fewer than ``count`` squared cells.
    """
    length = start.shape[1]
    if mask is None and length * length < count:
        raise EgolibError(
            f"{count} pairs were asked of {length} cells",
            remedy="few_pairs: only_valid gives as many as there are",
        )
    chances = start.float().softmax(1).unsqueeze(2) * end.float().softmax(1).unsqueeze(1)  # B T T
    chances = chances.triu()
    if mask is not None:
        possible = (mask.unsqueeze(2) & mask.unsqueeze(1)).triu()
        if longest is not None:
            cells = torch.arange(length, device=mask.device)
            possible &= cells - cells.unsqueeze(1) < longest.to(cells)[:, None, None]
        chances = chances.masked_fill(~possible, -1.0)
    values, places = chances.flatten(1).topk(min(count, length * length), 1)
    rows = zip(values.cpu().numpy(), places.cpu().numpy(), strict=True)
    return [_pairs(value, place, length) for value, place in rows]


def _pairs(values: NDArray[np.float32], places: NDArray[np.int64], length: int) -> Pairs:
    kept = values >= 0
    start, end = np.divmod(places[kept], length)
    return Pairs(start, end, values[kept])


def decode(
    spans: Spans, units: Sequence[int], durations_sec: Sequence[float], config: SpanInferConfig
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Windows (K, 2) in seconds float32 and their scores (K,) of each question, best first.

    Official behaviour: no suppression, and see ``best_pairs``.

    Args:
        spans: the network's outputs for B questions.
        units: into how many cells the labels cut each clip.
        durations_sec: of each clip.
        config: how many windows, and what becomes of few pairs and of neighbours.

    Raises:
        EgolibError: a window lies outside its clip, or there are too few cells, which
            stops the official evaluation.
    """
    hard = config.suppression == "hard"
    count = max(config.windows, config.candidates) if hard else config.windows
    longest = _most_cells(units, durations_sec, config.longest_sec)
    limited = hard or longest is not None or config.few_pairs == "only_valid"
    mask = _inside(spans.mask, units) if limited else None
    found = []
    for pairs, cells, duration in zip(
        best_pairs(spans.start, spans.end, count, mask=mask, longest=longest),
        units,
        durations_sec,
        strict=True,
    ):
        windows = to_seconds(pairs.start, pairs.end, cells, duration)
        kept = np.arange(len(windows))
        if hard:
            kept = hard_nms(
                windows,
                pairs.probability,
                iou_threshold=config.iou_threshold,
                limit=config.windows,
            )
        found.append((windows[kept], pairs.probability[kept]))
    return found


def _most_cells(
    units: Sequence[int], durations_sec: Sequence[float], longest_sec: float
) -> Tensor | None:
    """(B,) int64: as many cells of each clip as a window may last, at least one; None for any."""
    if longest_sec == 0:
        return None
    cells = [longest_sec * n / sec for n, sec in zip(units, durations_sec, strict=True)]
    return torch.tensor([max(1, int(count + CELL)) for count in cells])


def _inside(mask: Tensor, units: Sequence[int]) -> Tensor:
    """The mask, further cut to the cells that the labels know."""
    last = torch.tensor(list(units), device=mask.device)
    return mask & (torch.arange(mask.shape[1], device=mask.device) < last.unsqueeze(1))
