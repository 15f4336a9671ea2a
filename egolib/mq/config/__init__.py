"""What can be set for moments queries; the defaults are the published values.

``vsgn_egovlpv2()`` and ``vsgn_ego4d()`` are the published networks, ``egovlpv2()`` and
``ego4d()`` the published data layouts; a section names its part of one by ``builder``.
Numbers and rules only; no torch.

Where published numbers rest on a quirk, the field is a choice whose value ``official``
reproduces it. Values that cannot work together are refused when the configuration is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from egolib.engine.config import FitConfig
from egolib.engine.rules import require
from egolib.mq.config.actionformer import ActionFormerConfig, GridConfig, PointLossConfig
from egolib.mq.config.data import DataConfig, Layout
from egolib.mq.config.losses import LossConfig
from egolib.mq.config.model import (
    BACKGROUND,
    ModelConfig,
    vsgn_ego4d,
    vsgn_egovlpv2,
    vsgn_plain,
)
from egolib.mq.config.optim import OptimConfig
from egolib.mq.config.run import Correction, EvaluateConfig, InferConfig, InitialConfig

__all__ = [
    "BACKGROUND",
    "MONITORED",
    "ActionFormerConfig",
    "Config",
    "Correction",
    "DataConfig",
    "EvaluateConfig",
    "GridConfig",
    "InferConfig",
    "InitialConfig",
    "Layout",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "PointLossConfig",
    "vsgn_ego4d",
    "vsgn_egovlpv2",
    "vsgn_plain",
]

#: What the evaluation between epochs measures: the validation loss, and, where
#: ``fit.monitor`` asks for it, the average mAP in per cent.
MONITORED = ("loss", "average_map")


def _fit() -> FitConfig:
    return FitConfig(epochs=50, batch_size=32, evaluate_every=1, monitor="loss:min")


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 21
    world_seed: int = 0
    model: ModelConfig = field(default_factory=vsgn_egovlpv2)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(default_factory=_fit)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    #: Names that fields once had.
    renamed: ClassVar[dict[str, str]] = {}
    #: What other tasks have and this one not: why, and what to do instead.
    absent: ClassVar[dict[str, tuple[str, str]]] = {
        "data.backend": (
            "mq reads features and decodes no video",
            "give it where vlp makes them: egolib run vlp/3_infer --variant mq_features ...",
        )
    }

    def __post_init__(self) -> None:
        self.model.require_fit()
        name = self.fit.monitor.partition(":")[0]
        require(
            not name or name in MONITORED,
            f"fit.monitor {self.fit.monitor!r} is no metric",
            f"one of {', '.join(MONITORED)}",
        )
        require(
            self.model.graph or not self.model.stitched_neighbors,
            "model.stitched_neighbors without model.graph",
            "set model.graph: true",
        )
        require(
            self.loss.replicas <= self.fit.batch_size,
            f"loss.replicas {self.loss.replicas} of an update of {self.fit.batch_size} clips",
            "use at most fit.batch_size replicas",
        )
        require(
            self.optim.optimizer == "adamw",
            f"optim.optimizer {self.optim.optimizer!r}",
            "adamw; optim.adamw says which one",
        )
        own = self.model.actionformer
        require(
            (own is None) == (self.infer.suppression is None),
            f"infer.suppression {self.infer.suppression} "
            f"{'without' if own is None else 'with'} model.actionformer",
            "infer: {builder: actionformer} goes with ActionFormer alone",
        )
        if own is not None:
            self._check_points(own)
        wanted = {"best": bool(self.fit.monitor), "ema": self.fit.ema_decay is not None}
        require(
            wanted.get(self.infer.weights, True),
            f"infer.weights {self.infer.weights} with fit.monitor {self.fit.monitor!r}, "
            f"fit.ema_decay {self.fit.ema_decay}",
            "best needs fit.monitor, ema needs fit.ema_decay; model is always there",
        )

    def _check_points(self, own: ActionFormerConfig) -> None:
        ranges = len(self.loss.points.regression_ranges)
        require(
            ranges >= own.levels,
            f"loss.points.regression_ranges has {ranges} entries for {own.levels} levels",
            "add ranges, or lower model.actionformer.branch_blocks",
        )
        require(
            not self.infer.compare,
            f"infer.compare {list(self.infer.compare)} with model.actionformer",
            "leave it empty: these are corrections of VSGN",
        )
        require(
            self.data.stitching == "none",
            f"data.stitching {self.data.stitching} with model.actionformer",
            "use none: clips are cut by data.grid",
        )
