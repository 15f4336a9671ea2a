"""The single terms of VSGN's objective.

N boxes, K classes, B clips, T positions. ``empty_terms`` says what a term without members
is: ``zero``, or ``official``, which divides by nothing (NaN).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from egolib.mq.localization.anchors import decode, encode

SMALLEST_LENGTH = 1e-7  # added to unions and hulls
SMALLEST_PROBABILITY = 1e-5  # added to probabilities before the logarithm


def classification_loss(logits: Tensor, classes: Tensor, empty_terms: str = "zero") -> Tensor:
    """Cross-entropy, averaged over positives and over negatives, and added.

    Args:
        logits: (N, K).
        classes: (N,) int64; 0 is the background.
        empty_terms: see the module.
    """
    loss = F.cross_entropy(logits, classes, reduction="none")
    positive = classes > 0
    return mean_of(loss, positive, empty_terms) + mean_of(loss, ~positive, empty_terms)


def mean_of(values: Tensor, members: Tensor, empty_terms: str = "zero") -> Tensor:
    """Sum of the members (boolean mask) over their number.

    Official behaviour: with no member it is 0/0, and so is the gradient of all values.

    Args:
        values: (N,).
        members: (N,) bool.
        empty_terms: see the module.
    """
    count = members.sum()
    if empty_terms == "zero":
        count = count.clamp(min=1)
    return (values * members).sum() / count


def giou_loss(boxes: Tensor, truths: Tensor) -> Tensor:
    """(N,) 1 - generalised IoU of boxes (N, 2), whose ends may be swapped, and truths (N, 2)."""
    low, high = boxes.amin(-1), boxes.amax(-1)
    start, end = truths.unbind(-1)
    common = (torch.minimum(high, end) - torch.maximum(low, start)).clamp(min=0)
    hull = torch.maximum(high, end) - torch.minimum(low, start) + SMALLEST_LENGTH
    union = (high - low) + (end - start) - common + SMALLEST_LENGTH
    return 1 - (common / union - (hull - union) / hull)


def coded(moments: Tensor, boxes: Tensor, target_box: str = "official") -> Tensor:
    """(N, 2) moments as the coder of these boxes returns them.

    Official behaviour: a moment above 62.5 box lengths is shortened. Gradient passes into
    the boxes where that happens.

    Args:
        moments: (N, 2) true moments.
        boxes: (N, 2) the boxes that they are coded for.
        target_box: ``official``, or ``truth`` for the moments as they are.
    """
    return decode(boxes, encode(boxes, moments)) if target_box == "official" else moments


def curve_loss(curve: Tensor, target: Tensor, empty_terms: str = "zero") -> Tensor:
    """Balanced binary cross-entropy of a curve over all positions of a batch.

    With r = all / positive positions, negatives weigh r / (2 (r - 1)) and positives r / 2.
    Padding counts as negative.

    Args:
        curve: (B, T) probabilities.
        target: (B, T); above 0.5 is positive, so that a class index is, too.
        empty_terms: without positives (or negatives) ``zero`` leaves the limit of both
            weights: the other side counts 1/2.
    """
    positive = (target > 0.5).to(curve)
    total, count = positive.numel(), positive.sum()
    if empty_terms == "zero":
        weight_negative = 0.5 * total / (total - count).clamp(min=1)
        weight_positive = 0.5 * total / count.clamp(min=1)
    else:
        ratio = total / count
        weight_negative = 0.5 * ratio / (ratio - 1)
        weight_positive = weight_negative * (ratio - 1)
    hit = weight_positive * positive * torch.log(curve + SMALLEST_PROBABILITY)
    miss = weight_negative * (1 - positive) * torch.log(1 - curve + SMALLEST_PROBABILITY)
    return -(hit + miss).mean()
