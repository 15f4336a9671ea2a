"""Loss, optimisation and start of the detector's training: settings of the published ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine import config as engine
from egolib.errors import EgolibError
from egolib.nn.config import AssignConfig, ProposalConfig, SampleConfig


@dataclass(frozen=True)
class ProposalLossConfig:
    """Losses of the region proposal network, where it is trained.

    Args:
        assign: which anchors are positive or negative, by their IoU with the object.
        sample: how many of them enter the loss.
        border: pixels that an anchor may leave the frame by; a negative number admits all.
        normalise: both losses are divided by the ``sampled`` anchors or the number ``asked`` for.
        beta: where smooth L1 turns from quadratic to linear.
    """

    assign: AssignConfig = field(
        default_factory=lambda: AssignConfig(0.7, 0.3, low_quality="restore")
    )
    sample: SampleConfig = field(default_factory=SampleConfig)
    border: float = -1.0
    normalise: Literal["sampled", "asked"] = "asked"
    beta: float = 0.0


@dataclass(frozen=True)
class LossConfig:
    """The detector's losses and their examples.

    Args:
        comparison: ``bce``, ``kl_div`` or ``metric``; ``joint`` is egolib's, for trainings
            from scratch.
        margin: of the metric loss.
        frame_weight: of the loss of the frame logit.
        proposals: regions of a training frame. The frozen proposal network of the baseline
            stays in evaluation mode and so keeps the limits of the test.
        rpn: losses of the proposal network.
        regions: examples of an image that enter the comparison.
        positive_fraction: largest fraction of positive ones among them.
        positive_iou: least IoU with the object of a positive region.
        cross_batch_negatives: compare every reference with the regions of all images.
        hard_negatives: negatives kept per reference; 0 keeps all.
        hard_negative_choice: ``official`` (a quirk, see ``losses.mine``) or ``hardest``.
    """

    comparison: Literal["bce", "kl_div", "metric", "joint"] = "bce"
    margin: float = 0.25
    frame_weight: float = 0.1
    proposals: ProposalConfig = field(
        default_factory=lambda: ProposalConfig(1000, 1000, 0.7, "logit")
    )
    rpn: ProposalLossConfig = field(default_factory=ProposalLossConfig)
    regions: int = 64
    positive_fraction: float = 0.1
    positive_iou: float = 0.5
    cross_batch_negatives: bool = True
    hard_negatives: int = 64
    hard_negative_choice: Literal["official", "hardest"] = "official"


@dataclass(frozen=True)
class OptimConfig(engine.OptimConfig):
    """Optimisation of the Siamese R-CNN; the further fields are ``engine.config.OptimConfig``'s.

    Args:
        trunk: ``frozen`` trains the heads only (baseline); ``trained`` trains backbone and
            proposal network too (improved), at ``backbone_lr_factor`` times the rate.
        optimizer: ``sgd`` (published), or ``adamw`` for small networks from scratch.
        norm_weight_decay: weight decay of norms.
    """

    optimizer: Literal["adamw", "sgd"] = "sgd"
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    warmup_updates: int = 1000
    warmup_start_factor: float = 0.001
    schedule: Literal["constant", "multistep"] = "multistep"
    milestones: tuple[int, ...] = (200_000, 400_000)
    milestone_unit: Literal["updates"] = "updates"
    trunk: Literal["frozen", "trained"] = "frozen"
    norm_weight_decay: float = 0.0

    builders: ClassVar[dict[str, Callable[[], OptimConfig]]] = {}


def baseline_training() -> OptimConfig:
    """SiamRCNN: heads only, 1M updates; batch 16 on 2 GPUs or 64 on 8 at the same rate."""
    return OptimConfig()


def improved_training() -> OptimConfig:
    """Improved baselines and CocoFormer: everything trained, 125k updates, batch 64."""
    return OptimConfig(
        trunk="trained",
        backbone_lr_factor=0.1,
        norm_weight_decay=1e-4,
        milestones=(50_000, 100_000),
    )


OptimConfig.builders.update(baseline=baseline_training, improved=improved_training)


@dataclass(frozen=True)
class InitialConfig:
    """Where the detector's weights start.

    Args:
        weights: a checkpoint for backbone, pyramid and proposal network below the data root
            (published: COCO Mask R-CNN R50-FPN 3x), or ``none`` for random weights. A frozen
            trunk needs one.
        comparison: ``official`` random values of the head, or a head ``fitted`` to samples,
            for trainings from scratch (see ``models.warm_start``).

    Raises:
        EgolibError: no start is named.
    """

    weights: str = "weights/coco_mask_rcnn_r50_fpn_3x.pkl"
    comparison: Literal["official", "fitted"] = "official"

    def __post_init__(self) -> None:
        if not self.weights:
            raise EgolibError(
                "initial.weights names no start",
                remedy="a checkpoint below the data root, or none for random weights",
            )

    @property
    def random(self) -> bool:
        """Whether all weights start at random."""
        return self.weights == "none"
