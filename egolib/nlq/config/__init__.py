"""What can be set for natural-language queries; the defaults are the published values.

``groundnlq()`` and ``groundnlq_star()`` are the published networks, ``pretrain()``,
``scratch()`` and ``finetune()`` the published optimisations. No torch here.

Where published numbers rest on a quirk, the field is a choice whose first value,
``official``, reproduces it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from egolib.engine.rules import require
from egolib.nlq.config.data import DataConfig as DataConfig
from egolib.nlq.config.data import MadeStore as MadeStore
from egolib.nlq.config.data import TextPadding as TextPadding
from egolib.nlq.config.data import VideoPadding as VideoPadding
from egolib.nlq.config.losses import LossConfig as LossConfig
from egolib.nlq.config.losses import Validation as Validation
from egolib.nlq.config.model import ModelConfig as ModelConfig
from egolib.nlq.config.model import groundnlq as groundnlq
from egolib.nlq.config.model import groundnlq_star as groundnlq_star
from egolib.nlq.config.optim import OptimConfig as OptimConfig
from egolib.nlq.config.optim import finetune as finetune
from egolib.nlq.config.optim import finetune_star as finetune_star
from egolib.nlq.config.optim import pretrain as pretrain
from egolib.nlq.config.optim import scratch as scratch
from egolib.nlq.config.run import EvaluateConfig as EvaluateConfig
from egolib.nlq.config.run import FitConfig as FitConfig
from egolib.nlq.config.run import InferConfig as InferConfig
from egolib.nlq.config.run import InitialConfig as InitialConfig


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 12345678
    world_seed: int = 0
    model: ModelConfig = field(default_factory=groundnlq)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=scratch)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    renamed: ClassVar[dict[str, str]] = {
        "model.text_padding": "data.text_padding (training) and infer.text_padding (answers)",
        "train.optimizer": "optim.optimizer",
        "train.learning_rate": "optim.learning_rate",
        "train.momentum": "optim.momentum",
        "train.weight_decay": "optim.weight_decay",
        "train.backbone_rate": "optim.backbone_lr_factor",
        "train.warmup_epochs": "optim.warmup_epochs",
        "train.schedule": "optim.schedule",
        "train.milestones": "optim.milestones",
        "train.gamma": "optim.gamma",
        "train.jitter": "data.jitter",
        "train.video_padding": "data.video_padding",
        "train.initial_weights": "initial.weights",
        "train.initial_heads": "initial.heads",
        "train.average_start": "initial.average",
        "train.distributed": "loss.distributed",
        "train.evaluation": "fit.evaluation",
        "train.validation_loss": "loss.validation",
        "train": "optim",
    }
    #: What other tasks have and this one not: why, and what to do instead.
    absent: ClassVar[dict[str, tuple[str, str]]] = {
        "data.backend": (
            "nlq reads features and decodes no video",
            "give it where vlp makes them: egolib run vlp/3_infer --variant nlq_features ...",
        )
    }

    def __post_init__(self) -> None:
        stores, streams = len(self.data.text_stores), len(self.model.text_streams)
        require(
            stores == streams,
            f"data.text_stores names {stores} stores, model.text_streams {streams} streams",
            "name one store for each stream",
        )
        ranges, levels = len(self.loss.regression_ranges), self.model.levels
        require(
            ranges >= levels,
            f"loss.regression_ranges has {ranges} entries; model.cross_branch_blocks and "
            f"model.plain_branch_blocks make {levels} levels",
            "add ranges, or take model.cross_branch_blocks or model.plain_branch_blocks away",
        )
        averaged = self.infer.weights == "ema" or "averaged" in self.infer.compare
        require(
            not averaged or self.fit.ema_decay is not None,
            f"infer.weights {self.infer.weights} and infer.compare {list(self.infer.compare)} ask "
            f"for averaged weights, fit.ema_decay is {self.fit.ema_decay}",
            "set fit.ema_decay, or ask for no averaged weights",
        )
        require(
            self.infer.weights != "best" or bool(self.fit.monitor),
            "infer.weights best with an empty fit.monitor",
            "set fit.monitor, or infer.weights: model",
        )
        self._check_span()

    def _check_span(self) -> None:
        """VSLNet has an optimiser of its own, and none of GroundNLQ's corrections."""
        span, names = self.model.span is not None, ("legacy_adamw", "linear")
        for name, value in zip(
            ("optimizer", "schedule"), (self.optim.optimizer, self.optim.schedule), strict=True
        ):
            require(
                span == (value in names),
                f"optim.{name} {value} {'with' if span else 'without'} model.span",
                "optim: {builder: vslnet} goes with VSLNet alone",
            )
        if self.model.span is None:
            return
        require(
            not self.infer.compare,
            f"infer.compare {list(self.infer.compare)} with model.span",
            "leave it empty: these are corrections of GroundNLQ",
        )
        require(
            self.fit.evaluation == ("recall",),
            f"fit.evaluation {list(self.fit.evaluation)} with model.span",
            "use [recall]",
        )
        require(
            self.data.train in ("train", "train+narrations"),
            f"data.train {self.data.train} with model.span",
            "train on train or train+narrations: features are made for the questions themselves",
        )
