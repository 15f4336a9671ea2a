"""Which boxes are responsible for which moments, and what they are told. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.mq.config.actionformer import PointLossConfig


@dataclass(frozen=True)
class LossConfig:
    """Assignment and losses (sections 7 and 8 of the specification).

    Args:
        head_iou: least IoU of a positive for the two losses of the detection head.
        boundary_iou: the same for the boundary loss.
        anchor_iou: ``official`` adds 1 to the box's length in the union, so that short
            moments lose; ``plain`` does not.
        zero_iou_truths: a moment that overlaps no box (zero length, or beyond the clip's
            features): ``official`` makes every box a positive, ``ignore`` makes none.
        target_box: the box loss compares with the truth as the coder returns it, which
            shortens truths above 62.5 anchor lengths (``official``), or with the ``truth``.
        empty_terms: without a positive (or a negative, or a cell of a curve) ``zero``
            counts that part as 0; ``official`` divides by nothing, and the NaN ends the
            training, so that no published number rests on it.
        curve_weight: of the actionness, startness and endness losses.
        replicas: parts of a batch that are normalised by themselves, as the official
            data parallelism does on so many GPUs; 1 is exact.
        points: targets and losses of ActionFormer (``model.actionformer``), in place of all
            above.
    """

    head_iou: float = 0.5
    boundary_iou: float = 0.7
    anchor_iou: Literal["official", "plain"] = "official"
    zero_iou_truths: Literal["official", "ignore"] = "official"
    target_box: Literal["official", "truth"] = "official"
    empty_terms: Literal["zero", "official"] = "zero"
    curve_weight: float = 0.2
    replicas: int = 1
    points: PointLossConfig = field(default_factory=PointLossConfig)
