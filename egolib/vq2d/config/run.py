"""One run: everything that a variant and a preset decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from egolib.engine.config import FitConfig
from egolib.errors import EgolibError
from egolib.vq2d.config.data import DataConfig
from egolib.vq2d.config.detect import DetectConfig
from egolib.vq2d.config.kys import KysConfig, TrackerOptimConfig
from egolib.vq2d.config.localize import LocalizeConfig
from egolib.vq2d.config.optim import InitialConfig, LossConfig, OptimConfig
from egolib.vq2d.config.renamed import RENAMED
from egolib.vq2d.config.siamese import DetectorConfig


@dataclass(frozen=True)
class SweepConfig:
    """Settings of step 2 that are answered once more, each with one thing changed.

    ``3_infer`` follows the tracks that they start, ``4_evaluate`` draws the metrics.

    Args:
        thresholds: values of ``localize.peaks.threshold``.
        distances: values of ``localize.peaks.distance``, in frames.
        widths: values of ``localize.peaks.width``, in frames.
        prominences: values of ``localize.peaks.prominence``.
        compare: further changes: ``reflect`` (a curve may end at its peak), ``checked`` (a
            track must look like the object).
    """

    thresholds: tuple[float, ...] = ()
    distances: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    prominences: tuple[float, ...] = ()
    compare: tuple[Literal["reflect", "checked"], ...] = ()


@dataclass(frozen=True)
class PeakChange:
    """Values in place of those of ``localize.peaks``; None keeps one.

    Args:
        threshold: least smoothed score of the peak that is taken.
        distance: least number of frames between peaks.
        width: least width of a peak in frames, at half its prominence.
        prominence: least height above the valleys beside it.
    """

    threshold: float | None = None
    distance: int | None = None
    width: int | None = None
    prominence: float | None = None


@dataclass(frozen=True)
class EvaluateConfig:
    """The metrics.

    Args:
        ap_ties: order of equal scores: ``official`` leaves it to the sorting routine,
            ``file`` takes the earlier query first, ``expected`` averages over orders.
        several: which of several answers to a query counts for recovery and success.
        peaks: changes that ``4_evaluate`` makes to the peaks, to sweep them over one
            detection cache: ``egolib run vq2d/4_evaluate --grid evaluate.peaks.threshold=...``.
        recent_sec: a response track that ends so shortly before the query counts as recent.
    """

    ap_ties: Literal["official", "file", "expected"] = "official"
    several: Literal["max_score", "max_stiou"] = "max_score"
    peaks: PeakChange = field(default_factory=PeakChange)
    recent_sec: float = 1.0


@dataclass(frozen=True)
class InferConfig:
    """What computes, and with which weights.

    Args:
        device: of both steps; ``auto`` takes a GPU where there is one.
        matmul_precision: of float32 products on a GPU, in both steps: ``highest`` is float32
            itself, ``high`` TensorFloat-32. Step 1's autocast is ``detect.precision``.
        weights: of a training: the last ones (``model``) or those with the best validation AP
            (``best``).
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    matmul_precision: Literal["highest", "high"] = "highest"
    weights: Literal["model", "best"] = "model"


@dataclass(frozen=True)
class Config:
    """One run.

    Args:
        seed: of training and tracking.
        world_seed: of the built-in world.
        model: the detector's architecture.
        tracker: the KYS network's architecture.
        data: clips, images, samples.
        loss: the detector's losses and their examples.
        optim: learning rate, schedule and what is trained of the detector.
        initial: where the detector's weights start.
        fit: length, batches and evaluations of the detector's training.
        tracker_optim: egolib's recipe for a KYS network trained from scratch.
        infer: device and weights of ``3_infer``.
        detect: step 1. A training evaluates with the variant's and preset's own values.
        localize: step 2.
        sweep: settings of step 2 that are compared.
        evaluate: the metrics.

    Raises:
        EgolibError: values that cannot work together.
    """

    seed: int = 0
    world_seed: int = 0
    model: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: KysConfig = field(default_factory=KysConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=1_000_000,
            max_updates=1_000_000,
            batch_size=64,
            processes=8,
            workers=8,
            evaluate_every_updates=5000,
            monitor="AP:max",
        )
    )
    tracker_optim: TrackerOptimConfig = field(default_factory=TrackerOptimConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    localize: LocalizeConfig = field(default_factory=LocalizeConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    renamed = RENAMED  # of no type: no field

    def __post_init__(self) -> None:
        for rule in RULES:
            rule(self)


# ------------------------------------------------------- which values go together

BACKBONE_FIELDS = ("blocks", "stem_channels", "width", "strides", "dilations", "stride_in", "norm")


def trained_trunk(config: Config) -> None:
    """A trunk that is not trained needs weights to start from."""
    if config.optim.trunk == "frozen" and config.initial.random:
        raise EgolibError(
            "optim.trunk: frozen with initial.weights: none would keep a random trunk",
            remedy="set optim.trunk: trained, or name the published start in initial.weights",
        )


def fitted_comparison(config: Config) -> None:
    """Only a shared projector with a bilinear form can start fitted."""
    head = config.model.head
    if config.initial.comparison == "official":
        return
    if (head.kind, head.compare, head.shared) != ("siamese", "bilinear", True):
        raise EgolibError(
            "initial.comparison: fitted needs model.head.kind: siamese, model.head.compare: "
            "bilinear and model.head.shared: true",
            remedy="set initial.comparison: official",
        )


def tracker_backbone(config: Config) -> None:
    """A tracker that is trained here stands on the detector's backbone."""
    ours, theirs = config.tracker.backbone, config.model.backbone
    other = [name for name in BACKBONE_FIELDS if getattr(ours, name) != getattr(theirs, name)]
    if config.tracker_optim.updates and other:
        name = other[0]
        raise EgolibError(
            f"tracker.backbone.{name}: {getattr(ours, name)} is not model.backbone.{name}: "
            f"{getattr(theirs, name)}, and the tracker is trained on the detector's backbone",
            remedy="make them equal, or tracker_optim.updates: 0 and a trained tracker",
        )


def tracker_norm(config: Config) -> None:
    """The tracker's training looks at one sequence at a time."""
    if config.tracker_optim.updates and config.tracker.norm == "batch":
        raise EgolibError(
            "tracker.norm: batch with tracker_optim.updates: the recipe fits one sequence at a "
            "time, which has no batch statistics",
            remedy="set tracker.norm: group, or tracker_optim.updates: 0 and a trained tracker",
        )


def monitored(config: Config) -> None:
    """The best weights are those of an evaluation."""
    fit = config.fit
    evaluated = bool(fit.evaluate_every or fit.evaluate_every_updates)
    name, _, direction = fit.monitor.partition(":")
    if name and (name not in ("AP", "AP50") or direction not in ("", "max")):
        raise EgolibError(
            f"fit.monitor: {fit.monitor} is not evaluated", remedy="AP:max or AP50:max"
        )
    if config.infer.weights == "best" and not (name and evaluated):
        raise EgolibError(
            "infer.weights: best needs fit.monitor and fit.evaluate_every_updates",
            remedy="set both (fit.monitor: AP:max), or infer.weights: model",
        )


RULES: tuple[Callable[[Config], None], ...] = (
    trained_trunk,
    fitted_comparison,
    tracker_backbone,
    tracker_norm,
    monitored,
)
