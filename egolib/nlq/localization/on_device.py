"""From scores and offsets to the best windows of many questions at once, on their device.

The same windows as ``decode.candidates`` and soft suppression find, up to rounding and the
order of equal scores, by operators whose shapes do not depend on values.

Shapes: Q questions, P points of all levels, M windows wanted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from egolib.nlq.config import InferConfig
from egolib.nn.points import Points, Predictions
from egolib.ops.segments import EMPTY_AREA

NONE = -1.0  # the score of a window that is not there


def decodes(infer: InferConfig, classes: int) -> bool:
    """Whether these settings are decoded here: one class and Gaussian suppression."""
    return classes == 1 and infer.suppression.method == "soft" and infer.suppression.per_class


def best_windows(predictions: Predictions, infer: InferConfig, points: Points) -> Tensor:
    """(Q, M, 3) float32: start and end in features, and score, best first; ``NONE`` fills up.

    Args:
        predictions: of a network of one class.
        infer: thresholds and suppression.
        points: of its pyramid, on its device.
    """
    scores = predictions.logits[..., 0].float().sigmoid() * predictions.mask  # Q P
    reach = predictions.offsets.float() * points.strides[:, None]
    starts, ends = points.positions - reach[..., 0], points.positions + reach[..., 1]
    usable = _likeliest(scores, predictions.lengths, infer.candidates_per_level)
    usable = usable & (scores > infer.score_threshold)
    usable = usable & (ends - starts > infer.duration_threshold)
    return _suppressed(starts, ends, scores.masked_fill(~usable, NONE), infer)


def _likeliest(scores: Tensor, lengths: tuple[int, ...], count: int) -> Tensor:
    """(Q, P) which points are among the best ``count`` of their level."""
    levels = []
    for level in torch.split(scores, list(lengths), 1):
        if level.shape[1] > count:
            levels.append(level >= level.topk(count, 1).values[:, -1:])
        else:
            levels.append(torch.ones_like(level, dtype=torch.bool))
    return torch.cat(levels, 1)


def _suppressed(starts: Tensor, ends: Tensor, scores: Tensor, infer: InferConfig) -> Tensor:
    """Soft suppression (see ``egolib.ops.segments.soft_nms``) of all questions, pick by pick."""
    settings, picks = infer.suppression, []
    areas = ends - starts + float(EMPTY_AREA)
    for _ in range(settings.max_segments):
        score, best = scores.max(1, keepdim=True)
        start, end, area = (x.gather(1, best) for x in (starts, ends, areas))
        picks.append(torch.cat([start, end, score], 1))
        common = (torch.minimum(ends, end) - torch.maximum(starts, start)).clamp_min(0)
        overlap = common / (areas + area - common)
        scores = scores * torch.exp(overlap * overlap / -settings.sigma)
        scores = scores.masked_fill(scores < settings.min_score, NONE).scatter(1, best, NONE)
    return torch.stack(picks, 1)
