"""What can be set for visual queries; the defaults are the published values.

Numbers and names only; no torch. Where published numbers rest on a quirk, the field is a
choice whose value ``official`` reproduces it. Published networks and trainings are named
builders; reduced ones are the same builders with smaller numbers.
"""

from __future__ import annotations

from egolib.vq2d.config.data import AugmentConfig, DataConfig
from egolib.vq2d.config.detect import DetectConfig, small_frames
from egolib.vq2d.config.kys import KysConfig, TrackerOptimConfig, kys, small_kys
from egolib.vq2d.config.localize import LocalizeConfig, ParticleConfig, PeakConfig, TrackConfig
from egolib.vq2d.config.optim import InitialConfig, LossConfig, OptimConfig, ProposalLossConfig
from egolib.vq2d.config.run import Config, EvaluateConfig, InferConfig, PeakChange, SweepConfig
from egolib.vq2d.config.siamese import (
    DetectorConfig,
    HeadConfig,
    ProposalNetworkConfig,
    cocoformer,
    improved,
    siam_rcnn,
    small,
)

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "DetectConfig",
    "DetectorConfig",
    "EvaluateConfig",
    "HeadConfig",
    "InferConfig",
    "InitialConfig",
    "KysConfig",
    "LocalizeConfig",
    "LossConfig",
    "OptimConfig",
    "ParticleConfig",
    "PeakChange",
    "PeakConfig",
    "ProposalLossConfig",
    "ProposalNetworkConfig",
    "SweepConfig",
    "TrackConfig",
    "TrackerOptimConfig",
    "cocoformer",
    "improved",
    "kys",
    "siam_rcnn",
    "small",
    "small_frames",
    "small_kys",
]
