"""One run: everything that a variant and a preset decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.engine.config import FitConfig
from egolib.vq2d.config.data import DataConfig, DetectConfig
from egolib.vq2d.config.kys import KysConfig, KysTrainConfig
from egolib.vq2d.config.localize import LocalizeConfig
from egolib.vq2d.config.siamese import DetectorConfig
from egolib.vq2d.config.train import TrainConfig


@dataclass(frozen=True)
class SweepConfig:
    """Settings of step 2 that are answered once more, each with one thing changed.

    ``3_infer`` follows the tracks that they start, ``4_evaluate`` draws the metrics.

    Args:
        thresholds, distances, widths, prominences: values of ``localize.peaks``.
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
        threshold, distance, width, prominence: see ``PeakConfig``.
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
class Config:
    """One run.

    Args:
        seed: of training and tracking.
        world_seed: of the built-in world.
        model: the detector.
        tracker: the KYS network.
        data: clips, images, samples.
        train, fit: optimisation of the detector.
        tracker_train: our recipe for a KYS network trained from scratch.
        detect: step 1.
        localize: step 2.
        sweep: settings of step 2 that are compared.
        evaluate: the metrics.
    """

    seed: int = 0
    world_seed: int = 0
    model: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: KysConfig = field(default_factory=KysConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
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
    tracker_train: KysTrainConfig = field(default_factory=KysTrainConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    localize: LocalizeConfig = field(default_factory=LocalizeConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
