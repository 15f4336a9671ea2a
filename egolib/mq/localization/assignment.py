"""Which box is responsible for which moment (sections 7 of the specification, VSGN 3.3).

A boxes, M moments of a clip, B clips. Boxes and moments are (start, end) in features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from egolib.mq.config import BACKGROUND, LossConfig


@dataclass(frozen=True)
class Assignment:
    """What the boxes of a batch should become.

    Args:
        classes: (B, A) int64; 0 is the background.
        moments: (B, A, 2) the moment that each box belongs to; without meaning for
            background boxes.
    """

    classes: Tensor
    moments: Tensor

    @property
    def positive(self) -> Tensor:
        """(B, A) true where a box belongs to a moment."""
        return self.classes > BACKGROUND


def box_iou(boxes: Tensor, moments: Tensor, convention: str = "official") -> Tensor:
    """(M, A) IoU of moments (M, 2) and boxes (A, 2).

    Official behaviour: 1 is added to the box's length in the union but not in the
    intersection, so that a box equal to a moment of length l has IoU l / (l + 1). A moment
    that ends before it starts can give 0/0 = NaN.

    Args:
        boxes: (A, 2).
        moments: (M, 2).
        convention: ``official``, or ``plain`` without that 1.
    """
    extent = 1 if convention == "official" else 0
    start = torch.maximum(moments[:, None, 0], boxes[None, :, 0])
    end = torch.minimum(moments[:, None, 1], boxes[None, :, 1])
    common = (end - start).clamp(min=0)
    box_length = boxes[:, 1] - boxes[:, 0] + extent
    length = moments[:, 1] - moments[:, 0]
    return common / (box_length + length[:, None] - common).clamp(min=0)


def match(
    iou: Tensor, threshold: float, *, zero_iou_truths: str = "official", low_quality: bool = True
) -> Tensor:
    """(A,) int64 index of the moment of every box, -1 for background.

    A box takes its best moment where the IoU reaches the threshold. Then every moment's
    best boxes (all of equal IoU) take their own best moment, however low the IoU.

    Official behaviour: the second rule holds for a moment that overlaps no box, too; as
    all boxes have the IoU 0 with it, all become positives.

    Args:
        iou: (M, A), M at least 1; NaN counts as the highest value.
        threshold: least IoU of a match by the first rule.
        zero_iou_truths: ``official``, or ``ignore`` to leave such moments out.
        low_quality: whether the second rule holds.
    """
    best, matched = iou.max(0)
    found = torch.where(best < threshold, -1, matched)
    if not low_quality:
        return found
    highest = iou.amax(1, keepdim=True)  # M 1
    attained = iou == highest
    if zero_iou_truths == "ignore":
        attained &= highest > 0
    return torch.where(attained.any(0), matched, found)


def assign(
    boxes: Tensor, moments: Tensor, labels: Tensor, threshold: float, config: LossConfig
) -> tuple[Tensor, Tensor]:
    """Classes (A,) int64 and moments (A, 2) of the boxes of one clip.

    Args:
        boxes: (A, 2).
        moments: (M, 2); none makes every box background.
        labels: (M,) int64 class of each moment; one of class 0 makes no positive.
        threshold: least IoU of a match.
        config: conventions.
    """
    if not len(moments):
        return labels.new_zeros(len(boxes)), torch.zeros_like(boxes)
    iou = box_iou(boxes, moments, config.anchor_iou)
    matched = match(iou, threshold, zero_iou_truths=config.zero_iou_truths)
    chosen = matched.clamp(min=0)
    return torch.where(matched < 0, BACKGROUND, labels[chosen]), moments[chosen]


@torch.no_grad()
def assign_batch(
    boxes: Tensor,
    moments: Sequence[Tensor],
    labels: Sequence[Tensor],
    threshold: float,
    config: LossConfig,
) -> Assignment:
    """The assignment of a batch; no gradient passes through it.

    Args:
        boxes: (A, 2) anchors, or (B, A, 2) boxes of each clip.
        moments: for each clip (M, 2) float32.
        labels: for each clip (M,) int64.
        threshold: least IoU of a match.
        config: conventions.
    """
    each = boxes.detach().expand(len(moments), -1, 2)
    pairs = [
        assign(b, m, n, threshold, config) for b, m, n in zip(each, moments, labels, strict=True)
    ]
    return Assignment(torch.stack([c for c, _ in pairs]), torch.stack([m for _, m in pairs]))
