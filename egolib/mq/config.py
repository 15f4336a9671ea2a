"""What can be set for moments queries; the defaults are the published values.

``vsgn_egovlpv2()`` and ``vsgn_ego4d()`` are the published networks, ``egovlpv2()`` and
``ego4d()`` the published data layouts and trainings. Numbers only; no torch.

Where published numbers rest on a quirk, the field is a choice whose value ``official``
reproduces it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from egolib.engine.settings import FitSettings

Layout = Literal["egovlpv2", "ego4d"]

BACKGROUND = 0
"""The class of a box without moment."""


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Args:
        feature_width: width D of the input features.
        length: temporal scale T, to which every clip is padded or cut; a multiple of
            2^(levels - 1).
        width: channels C of the whole network, a multiple of ``norm_groups``.
        classes: classes K, background (0) included.
        levels: pyramid levels; level l has stride 2^l.
        head_layers: convolutions of each tower of the detection head.
        norm_groups: groups of the towers' group norms.
        anchor_scales: anchor lengths of a level, in strides.
        graph: the encoder has graph branches; without, strided convolutions.
        neighbors: neighbours k of a position, itself included.
        graph_input: ``parallel`` adds graph and convolution of the same input,
            ``sequential`` takes the graph of the convolution's output.
        aggregation: of the neighbours, ``max`` or ``mean``.
        edge_features: what is mapped for neighbour j of position p: ``pair`` is
            [x_j, x_p], ``difference`` [x_j - x_p, x_p].
        edge_weights: multiply each neighbour's map with its cosine similarity;
            ``pair`` only.
        stitched_neighbors: half of the neighbours of a stitched clip come from the other
            scale (VSGN's cross-scale edges; off in every published command).
        stitch_gap: features between a clip and its stretched copy.
        short_fraction: clips of at most this fraction of ``length`` count as stitched.
    """

    feature_width: int = 4096
    length: int = 928
    width: int = 256
    classes: int = 111
    levels: int = 5
    head_layers: int = 4
    norm_groups: int = 32
    anchor_scales: tuple[float, ...] = (1, 10)
    graph: bool = True
    neighbors: int = 12
    graph_input: Literal["parallel", "sequential"] = "parallel"
    aggregation: Literal["max", "mean"] = "max"
    edge_features: Literal["pair", "difference"] = "pair"
    edge_weights: bool = False
    stitched_neighbors: bool = False
    stitch_gap: int = 30
    short_fraction: float = 0.4

    builders: ClassVar[dict[str, Callable[[], ModelConfig]]] = {}

    @property
    def level_lengths(self) -> tuple[int, ...]:
        """Positions of each level, fine to coarse."""
        return tuple(-(-self.length // 2**level) for level in range(self.levels))

    @property
    def boxes(self) -> int:
        """Number A of anchors over all levels."""
        return len(self.anchor_scales) * sum(self.level_lengths)


def vsgn_egovlpv2() -> ModelConfig:
    """VSGN on EgoVLPv2 features (arXiv 2307.05463): 10,084,583 parameters."""
    return ModelConfig()


def vsgn_ego4d() -> ModelConfig:
    """VSGN on SlowFast features, the Ego4D baseline (arXiv 2110.07058)."""
    return ModelConfig(feature_width=2304)


def vsgn_plain() -> ModelConfig:
    """The Ego4D baseline without graph: 8,051,687 parameters."""
    return ModelConfig(feature_width=2304, graph=False)


ModelConfig.builders.update(
    vsgn_egovlpv2=vsgn_egovlpv2, vsgn_ego4d=vsgn_ego4d, vsgn_plain=vsgn_plain
)


@dataclass(frozen=True)
class DataConfig:
    """Annotations and features; paths are below the data root unless absolute.

    Args:
        layout: ``egovlpv2`` has one feature file per clip, ``ego4d`` one per video,
            from which a clip's rows are cut by time.
        annotations: folder of ``moments_{train,val}.json`` and
            ``moments_test_unannotated.json``.
        videos: the table of videos with their durations.
        features: the feature store.
        test_truth: answers of the test split, which only the built-in world has.
        classes: the class table's source: ``official`` is the labels of train (a class
            that only val has is then an error), ``all_splits`` takes val's too.
        missing_features: ``official`` drops every clip of a video whose first feature
            file (``ego4d``: whose file) is missing, from the truth as well, so that
            scores rise; ``error`` refuses.
        duplicate_clips: a clip that stands in two video objects: ``official`` keeps the
            labels of both, ``merge_unique`` each label once.
        max_boxes: moments of a clip that become boxes; later ones still shape the curves.
        stitching: ``none``, or ``vsgn``: short windows are cut and stitched to a
            stretched copy of themselves (the THUMOS release; no published EgoMQ run).
        window_fraction: length of a cut window, as a fraction of ``model.length``.
    """

    layout: Layout = "egovlpv2"
    annotations: str = "ego4d/v2/annotations"
    videos: str = "ego4d/ego4d.json"
    features: str = "mq/features"
    test_truth: str = "truth/moments_test.json"
    classes: Literal["official", "all_splits"] = "official"
    missing_features: Literal["official", "error"] = "official"
    duplicate_clips: Literal["official", "merge_unique"] = "official"
    max_boxes: int = 50
    stitching: Literal["none", "vsgn"] = "none"
    window_fraction: float = 0.38

    builders: ClassVar[dict[str, Callable[[], DataConfig]]] = {}


def egovlpv2_data() -> DataConfig:
    """Features of each clip by EgoVLPv2, 1.87 a second."""
    return DataConfig()


def ego4d_data() -> DataConfig:
    """SlowFast features of whole videos, 1.875 a second."""
    return DataConfig(layout="ego4d")


DataConfig.builders.update(egovlpv2=egovlpv2_data, ego4d=ego4d_data)


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
    """

    head_iou: float = 0.5
    boundary_iou: float = 0.7
    anchor_iou: Literal["official", "plain"] = "official"
    zero_iou_truths: Literal["official", "ignore"] = "official"
    target_box: Literal["official", "truth"] = "official"
    empty_terms: Literal["zero", "official"] = "zero"
    curve_weight: float = 0.2
    replicas: int = 1


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation: Adam, whose decay is added to the gradient, and steps of the rate.

    Args:
        learning_rate: at the start.
        weight_decay: added to the gradient of every parameter.
        step_epochs: epochs after which the rate is multiplied with ``gamma``, again and
            again.
        gamma: that factor.
        select: the best epoch by validation ``loss``, as published, or by its ``map``.
        drop_last_val: ``official`` leaves out the last incomplete batch of validation
            (with fewer clips than a batch the loss is 0 and the first epoch wins);
            ``keep`` takes it.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    step_epochs: int = 15
    gamma: float = 0.1
    select: Literal["loss", "map"] = "loss"
    drop_last_val: Literal["official", "keep"] = "official"


@dataclass(frozen=True)
class InferConfig:
    """From network outputs to ranked moments in seconds (sections 10 and 11).

    Args:
        score_threshold: least class probability of a candidate.
        nms_iou: overlap above which a candidate of the same class goes.
        soft_nms_sigma: of the Gaussian decay for detections.
        limit: moments of a clip that are kept, for detection and for retrieval.
        soft_nms: ``official`` decays over all classes together, ``per_class`` within each.
        last_candidate: ``official`` never outputs the last remaining one, ``keep`` does.
        retrieval_limit: ``official`` counts over all asked classes of a clip together,
            ``per_class`` for each.
        rounding: ``official`` rounds times to 0.1 s and scores to 6 digits, ``none``
            keeps them.
        batch: clips that are computed at once.
        device: ``auto`` takes a GPU where there is one.
    """

    score_threshold: float = 5e-9
    nms_iou: float = 0.4
    soft_nms_sigma: float = 0.46
    limit: int = 200
    soft_nms: Literal["official", "per_class"] = "official"
    last_candidate: Literal["official", "keep"] = "official"
    retrieval_limit: Literal["official", "per_class"] = "official"
    rounding: Literal["official", "none"] = "official"
    batch: int = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"


@dataclass(frozen=True)
class MetricConfig:
    """How answers are scored (section 12).

    Args:
        zero_length: a predicted and a true moment without length in one clip:
            ``official`` counts a hit wherever they are, ``miss`` none.
        ap_ties: equal scores: ``official`` takes the later first, ``file`` the earlier,
            ``expected`` is the mean over random orders.
        convention: of recall: ``official``, or ``actionformer``, the evaluator published
            with ActionFormer: it counts duplicate moments once, ranks the detections by
            score, and averages over classes.
    """

    zero_length: Literal["official", "miss"] = "official"
    ap_ties: Literal["official", "file", "expected"] = "official"
    convention: Literal["official", "actionformer"] = "official"


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 21
    world_seed: int = 0
    model: ModelConfig = field(default_factory=vsgn_egovlpv2)
    data: DataConfig = field(default_factory=egovlpv2_data)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=50, batch_size=32, evaluate_every=1, monitor="val_loss:min"
        )
    )
    infer: InferConfig = field(default_factory=InferConfig)
    metric: MetricConfig = field(default_factory=MetricConfig)
