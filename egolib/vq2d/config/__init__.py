"""What can be set for visual queries; the defaults are the published values.

Numbers and names only; no torch. Where published numbers rest on a quirk, the field is a
choice whose value ``official`` reproduces it. Published networks and trainings are named
builders; reduced ones are the same builders with smaller numbers.
"""

from __future__ import annotations

from egolib.vq2d.config.data import DataConfig, DetectConfig
from egolib.vq2d.config.kys import KysConfig, KysTrainConfig, kys, small_kys
from egolib.vq2d.config.localize import LocalizeConfig, ParticleConfig, PeakConfig, TrackConfig
from egolib.vq2d.config.run import Config, EvaluateConfig, PeakChange, SweepConfig
from egolib.vq2d.config.siamese import (
    DetectorConfig,
    HeadConfig,
    cocoformer,
    improved,
    siam_rcnn,
    small,
)
from egolib.vq2d.config.train import AugmentConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "DetectConfig",
    "DetectorConfig",
    "EvaluateConfig",
    "HeadConfig",
    "KysConfig",
    "KysTrainConfig",
    "LocalizeConfig",
    "ParticleConfig",
    "PeakChange",
    "PeakConfig",
    "SweepConfig",
    "TrackConfig",
    "TrainConfig",
    "cocoformer",
    "improved",
    "kys",
    "siam_rcnn",
    "small",
    "small_kys",
]
