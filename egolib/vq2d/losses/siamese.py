"""Losses of the Siamese R-CNN.

Legend: N regions compared with one reference. Classes: 0 the object, 1 background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["bce", "kl_div", "metric", "joint"]
HardNegatives = Literal["official", "hardest"]


def comparison_loss(
    logits: Sequence[Tensor],
    classes: Sequence[Tensor],
    kind: Kind = "bce",
    *,
    hard_negatives: int = 0,
    choice: HardNegatives = "official",
    margin: float = 0.25,
) -> Tensor:
    """The loss over all references of a batch, a scalar.

    Args:
        logits: (N,) for each reference.
        classes: (N,) int64.
        kind: ``bce``: mean over all regions of all references; ``kl_div`` and ``metric``
            are summed over references; ``joint`` is egolib's (``joint_loss``) and mines the
            negatives of its first part only.
        hard_negatives: where a reference has more negatives, only so many are kept; 0 is off.
        choice: see ``mine``.
        margin: of the metric loss.
    """
    pairs = every = list(zip(logits, classes, strict=True))
    if hard_negatives:
        pairs = [mine(x, y, hard_negatives, choice) for x, y in pairs]
    if kind in ("bce", "joint"):
        binary = binary_loss(torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs]))
        return binary if kind == "bce" else binary + choice_loss(every)
    if kind == "kl_div":
        return torch.stack([divergence_loss(x, y) for x, y in pairs]).sum()
    return torch.stack([margin_loss(x, y, margin) for x, y in pairs]).sum()


def mine(
    logits: Tensor, classes: Tensor, number: int, choice: HardNegatives = "official"
) -> tuple[Tensor, Tensor]:
    """All positives and ``number`` negatives, in their order.

    Args:
        logits: (N,).
        classes: (N,) int64.
        number: negatives kept.
        choice: ``official`` or ``hardest``.

    Official behaviour: the hardest negatives are looked up in the list of negatives, but
    their places are used in the list of all regions, so that other entries are kept (some
    may be positives, and then fewer remain). ``hardest`` keeps the right ones.
    """
    negative = (classes == 1).nonzero()[:, 0]
    if len(negative) <= number:
        return logits, classes
    places = logits[negative].topk(number).indices
    kept = classes == 0
    kept[places if choice == "official" else negative[places]] = True
    return logits[kept], classes[kept]


def binary_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Mean binary cross-entropy; 0 with a gradient of 0 where there is nothing."""
    if not len(classes):
        return logits.sum() * 0.0
    return functional.binary_cross_entropy_with_logits(logits, 1.0 - classes.to(logits.dtype))


def divergence_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax over regions, mean over its elements."""
    target = 1.0 - classes.to(logits.dtype)
    target = target / (target.sum() + 1e-10)
    return (torch.xlogy(target, target) - target * logits.log_softmax(0)).mean()


def choice_loss(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Cross-entropy of choosing the object among all regions, mean over the references.

    egolib's own, for trainings from scratch: where nearly every region is background, a binary
    loss alone first learns to answer "no", and hardly leaves that again. References whose
    object is in no region count in the binary part only.

    Args:
        pairs: logits (N,) and classes (N,) of each reference.
    """
    losses = [
        torch.logsumexp(x, 0) - torch.logsumexp(x[y == 0], 0) for x, y in pairs if (y == 0).any()
    ]
    return torch.stack(losses).mean() if losses else torch.cat([x for x, _ in pairs]).sum() * 0.0


def margin_loss(similarity: Tensor, classes: Tensor, margin: float = 0.25) -> Tensor:
    """Mean over pairs of a positive p and a negative n of max(0, (n - p) / 2 + margin).

    Official behaviour: without a pair it divides by zero; here that is 0.

    Args:
        similarity: (N,) cosines.
        classes: (N,) int64.
        margin: wanted between positives and negatives.
    """
    positive, negative = similarity[classes == 0], similarity[classes == 1]
    if not len(positive) or not len(negative):
        return similarity.sum() * 0.0
    near, far = (1 - positive) / 2, (1 - negative) / 2
    return (near[:, None] - far[None, :] + margin).clamp(min=0).mean()


def frame_loss(logits: Tensor, classes: Sequence[Tensor], weight: float = 0.1) -> Tensor:
    """Binary cross-entropy of "the frame shows the object", times a weight.

    Args:
        logits: (B,).
        classes: (N,) int64 of each frame; a frame shows the object if any region is it.
        weight: of the loss.
    """
    shown = torch.stack([(y == 0).any() for y in classes]).to(logits.dtype)
    return weight * functional.binary_cross_entropy_with_logits(logits, shown)


def cross_batch(classes: Sequence[Tensor]) -> list[Tensor]:
    """(sum N,) classes of the regions of all images for each image's reference.

    Regions of other images are background. Official behaviour: two images of one object
    make false negatives.
    """
    sizes = [len(y) for y in classes]
    joint = torch.cat(list(classes))
    image = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(joint.device)
    return [torch.where(image == i, joint, torch.ones_like(joint)) for i in range(len(sizes))]
