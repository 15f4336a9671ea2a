"""Optimisation and augmentation: settings of the published trainings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal


@dataclass(frozen=True)
class AugmentConfig:
    """Random views of training frames and references.

    Args:
        shortest_sides: one is drawn, in pixels.
        longest_side: limit of the other side.
        flip: probability of mirroring.
        brightness: lowest and highest factor.
        rotation: lowest and highest angle of references, in degrees.
        reference_views: change references too.
        masked_share: share of 32-px cells hidden in frame and reference (improved baseline).
        object_removed: probability that a frame is trained on its background only
            (set heads; their published code reads a flag that nothing sets).
    """

    shortest_sides: tuple[int, ...] = (640, 672, 704, 736, 768, 800)
    longest_side: int = 1333
    flip: float = 0.5
    brightness: tuple[float, float] = (0.75, 1.33333)
    rotation: tuple[float, float] = (-120.0, 120.0)
    reference_views: bool = True
    masked_share: float = 0.0
    object_removed: float = 0.0


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation of the Siamese R-CNN.

    Args:
        trunk: ``frozen`` trains the heads only, with proposals as in the test (baseline);
            ``trained`` trains backbone and proposal network too (improved).
        optimizer: ``sgd`` (published), or ``adamw`` for small networks from scratch.
        base_rate: learning rate of the heads.
        trunk_rate: factor on it for backbone and proposal network.
        momentum, weight_decay: of SGD.
        norm_decay: weight decay of norms.
        warmup_updates, warmup_factor: linear start from this share of the rate.
        milestones, gamma: updates after which the rate is multiplied.
        regions, positive_share: examples of an image.
        positive_iou: least IoU with the object of a positive region.
        cross_batch_negatives: compare every reference with the regions of all images.
        hard_negatives: negatives kept per reference; 0 keeps all.
        hard_negative_choice: ``official`` (a quirk, see ``losses.mine``) or ``hardest``.
        loss: ``bce``, ``kl_div`` or ``metric``; ``joint`` is ours, for trainings from scratch.
        margin: of the metric loss.
        frame_weight: of the loss of the frame logit.
        initial_weights: a checkpoint to start from (COCO Mask R-CNN R50-FPN 3x) below the data
            root, or empty.
        comparison_start: ``official`` random values, or one fitted to samples, for trainings
            without initial weights (see ``warm_start``).
        validation_limit: samples that an evaluation in training looks at, evenly spread; 0
            for all.
        augment: random views.
    """

    trunk: Literal["frozen", "trained"] = "frozen"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    base_rate: float = 0.02
    trunk_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    norm_decay: float = 0.0
    warmup_updates: int = 1000
    warmup_factor: float = 0.001
    milestones: tuple[int, ...] = (200_000, 400_000)
    gamma: float = 0.1
    regions: int = 64
    positive_share: float = 0.1
    positive_iou: float = 0.5
    cross_batch_negatives: bool = True
    hard_negatives: int = 64
    hard_negative_choice: Literal["official", "hardest"] = "official"
    loss: Literal["bce", "kl_div", "metric", "joint"] = "bce"
    margin: float = 0.25
    frame_weight: float = 0.1
    initial_weights: str = ""
    comparison_start: Literal["official", "fitted"] = "official"
    validation_limit: int = 0
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    builders: ClassVar[dict[str, Callable[[], TrainConfig]]] = {}


def baseline_training() -> TrainConfig:
    """SiamRCNN: heads only, 1M updates; batch 16 on 2 GPUs or 64 on 8 at the same rate."""
    return TrainConfig()


def improved_training() -> TrainConfig:
    """Improved baselines: everything trained, 125k updates, batch 64, negative frames."""
    return TrainConfig(
        trunk="trained", trunk_rate=0.1, norm_decay=1e-4, milestones=(50_000, 100_000)
    )


def cocoformer_training() -> TrainConfig:
    """CocoFormer: as the improved baselines, with the object removed from half the frames."""
    return replace(improved_training(), augment=AugmentConfig(object_removed=0.5))


TrainConfig.builders.update(
    baseline=baseline_training, improved=improved_training, cocoformer=cocoformer_training
)
