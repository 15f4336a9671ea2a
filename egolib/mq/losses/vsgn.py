"""VSGN's objective: six terms and their sum (section 8 of the specification).

B clips, A boxes, K classes, T positions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from egolib.mq.config import LossConfig
from egolib.mq.data.targets import Targets
from egolib.mq.localization.assignment import Assignment, assign_batch
from egolib.mq.losses.terms import classification_loss, coded, curve_loss, giou_loss, mean_of
from egolib.mq.models.vsgn import VSGN, Predictions

TERMS = ("classification", "regression", "action", "start", "end", "boundary")
CURVES = ("action", "start", "end")


def vsgn_losses(
    predictions: Predictions, anchors: Tensor, targets: Targets, config: LossConfig
) -> dict[str, Tensor]:
    """The terms by name (``TERMS``), and ``loss``, their weighted sum.

    Official behaviour: classes are assigned by the decoded boxes, the box loss by the
    anchors, the boundary loss by the decoded boxes with a higher threshold; the boundary
    loss trains the box tower, too.

    Args:
        predictions: of the network.
        anchors: (A, 2) of the network.
        targets: of the same clips.
        config: thresholds and conventions.
    """

    def assigned(boxes: Tensor, threshold: float) -> Assignment:
        return assign_batch(boxes, targets.moments, targets.labels, threshold, config)

    by_box = assigned(predictions.boxes, config.head_iou)
    logits = predictions.logits.flatten(0, 1)
    values = {
        "classification": classification_loss(logits, by_box.classes.flatten(), config.empty_terms),
        "regression": box_loss(
            predictions.boxes,
            anchors.expand_as(predictions.boxes),
            assigned(anchors, config.head_iou),
            config,
        ),
        "action": curve_loss(predictions.actionness, targets.action, config.empty_terms),
        "start": curve_loss(predictions.startness, targets.start, config.empty_terms),
        "end": curve_loss(predictions.endness, targets.end, config.empty_terms),
        "boundary": box_loss(
            predictions.adjusted,
            predictions.boxes,
            assigned(predictions.boxes, config.boundary_iou),
            config,
        ),
    }
    curves = torch.stack([values[name] for name in CURVES]).sum()
    heads = values["classification"] + values["regression"] + values["boundary"]
    return values | {"loss": heads + config.curve_weight * curves}


def box_loss(
    boxes: Tensor, references: Tensor, assignment: Assignment, config: LossConfig
) -> Tensor:
    """1 - generalised IoU, averaged over the positives of the batch.

    Args:
        boxes: (B, A, 2) predictions.
        references: (B, A, 2) the boxes that truths are coded for.
        assignment: of the references.
        config: conventions.
    """
    chosen = assignment.positive
    truths = coded(assignment.moments[chosen], references[chosen], config.target_box)
    losses = giou_loss(boxes[chosen], truths)
    return mean_of(losses, torch.ones_like(losses, dtype=torch.bool), config.empty_terms)


def training_losses(
    network: VSGN, features: Tensor, lengths: Tensor, targets: Targets, config: LossConfig
) -> dict[str, Tensor]:
    """The terms and the sum for a batch, forward pass included.

    Official behaviour: each of several GPUs normalises its part of the batch by itself, and
    the parts are averaged; ``config.replicas`` repeats that.

    Args:
        network: VSGN.
        features: (B, D, T), zero behind each clip.
        lengths: (B,) int64 features of each clip.
        targets: of the same clips.
        config: thresholds and conventions.
    """
    parts = zip(
        features.chunk(config.replicas),
        lengths.chunk(config.replicas),
        targets.split(config.replicas),
        strict=True,
    )
    losses = [vsgn_losses(network(x, n), network.anchors, part, config) for x, n, part in parts]
    return {name: torch.stack([loss[name] for loss in losses]).mean() for name in losses[0]}
