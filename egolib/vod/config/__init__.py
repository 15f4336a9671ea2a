"""What can be set for video object detection; defaults are published values (no torch).

``networks`` holds the published networks; ``model``, ``data``, ``optim`` and ``infer`` the
settings of networks, data, training and testing; ``run`` how they come together, and ``rules``
which of them do not.
"""

from __future__ import annotations

from egolib.vod.config.data import DataConfig, MegaSampling, PipelineConfig, ReferenceConfig
from egolib.vod.config.infer import InferConfig
from egolib.vod.config.model import ModelConfig
from egolib.vod.config.optim import InitialConfig, ObjectConfig, OptimConfig
from egolib.vod.config.run import Config, EvaluateConfig

__all__ = [
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "InferConfig",
    "InitialConfig",
    "MegaSampling",
    "ModelConfig",
    "ObjectConfig",
    "OptimConfig",
    "PipelineConfig",
    "ReferenceConfig",
]
