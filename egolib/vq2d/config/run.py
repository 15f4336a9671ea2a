"""One run: everything that a variant and a preset decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from egolib.engine.settings import FitSettings
from egolib.vq2d.config.data import DataConfig, DetectConfig
from egolib.vq2d.config.kys import KysConfig, KysTrainConfig
from egolib.vq2d.config.localize import LocalizeConfig
from egolib.vq2d.config.siamese import DetectorConfig
from egolib.vq2d.config.train import TrainConfig


@dataclass(frozen=True)
class EvaluateConfig:
    """The metrics.

    Args:
        ap_ties: order of equal scores: ``official`` leaves it to the sorting routine,
            ``file`` takes the earlier query first, ``expected`` averages over orders.
        several: which of several answers to a query counts for recovery and success.
    """

    ap_ties: Literal["official", "file", "expected"] = "official"
    several: Literal["max_score", "max_stiou"] = "max_score"


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
        evaluate: the metrics.
    """

    seed: int = 0
    world_seed: int = 0
    model: DetectorConfig = field(default_factory=DetectorConfig)
    tracker: KysConfig = field(default_factory=KysConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    fit: FitSettings = field(
        default_factory=lambda: FitSettings(
            epochs=1_000_000,
            max_updates=1_000_000,
            batch_size=8,
            processes=8,
            workers=8,
            evaluate_every_updates=5000,
            monitor="AP:max",
        )
    )
    tracker_train: KysTrainConfig = field(default_factory=KysTrainConfig)
    detect: DetectConfig = field(default_factory=DetectConfig)
    localize: LocalizeConfig = field(default_factory=LocalizeConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
