"""What can be set for video object detection; defaults are published values (no torch).

``networks`` holds the published networks, ``model`` and ``data`` the settings of networks and
data, ``run`` training, inference and evaluation, and how they come together.
"""

from __future__ import annotations

from egolib.vod.config.data import DataConfig, MegaSampling, PipelineConfig, ReferenceConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.config.run import Config, EvaluateConfig, InferConfig, ObjectConfig, TrainConfig

__all__ = [
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "InferConfig",
    "MegaSampling",
    "ModelConfig",
    "ObjectConfig",
    "PipelineConfig",
    "ReferenceConfig",
    "TrainConfig",
]
