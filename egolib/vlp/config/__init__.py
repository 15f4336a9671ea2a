"""What can be set for video-language pre-training; the defaults are the published values.

``egovlpv2()`` and ``egovlpv2_small_projection()`` are the published networks,
``egoclip_pretrain()``, ``epic_finetune()`` and ``charades_finetune()`` the published
trainings; a section names its part of one by ``builder``. Numbers and rules only; no torch.

Where published numbers rest on a quirk, the field is a choice whose first value,
``official``, reproduces it. Values that cannot work together are refused when the
configuration is built: rules of one section stand beside its fields, those of several here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from egolib.engine.config import FitConfig
from egolib.engine.rules import require
from egolib.vlp.config.benchmarks import QuestionConfig, SummarizerConfig, SummaryConfig
from egolib.vlp.config.data import DataConfig
from egolib.vlp.config.losses import HEADS, LossConfig
from egolib.vlp.config.model import ModelConfig, egovlpv2, egovlpv2_small_projection
from egolib.vlp.config.optim import OptimConfig
from egolib.vlp.config.published import charades_finetune, egoclip_pretrain, epic_finetune
from egolib.vlp.config.run import (
    NO_WEIGHTS,
    Benchmark,
    EvaluateConfig,
    InferConfig,
    InitialConfig,
)

__all__ = [
    "NO_WEIGHTS",
    "TRAINED_FOR",
    "Benchmark",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "InferConfig",
    "InitialConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "QuestionConfig",
    "SummarizerConfig",
    "SummaryConfig",
    "charades_finetune",
    "egoclip_pretrain",
    "egovlpv2",
    "egovlpv2_small_projection",
    "epic_finetune",
]

#: The benchmark that is evaluated while training on each kind of data.
TRAINED_FOR: dict[str, Benchmark] = {
    "egoclip": "egomcq",
    "epic": "epic",
    "charades": "charades",
    "egotaskqa": "egotaskqa",
    "qfvs": "qfvs",
}

_QUESTIONS = [f"{s}.{k}-video" for s in ("dual", "fusion", "ensemble") for k in ("Inter", "Intra")]
_RANKS = [f"{m}_{d}" for m in ("nDCG", "mAP") for d in ("V2T", "T2V", "AVG")]
#: The numbers that an evaluation of each benchmark gives, for ``fit.monitor``.
_KINDS = ("direct", "indirect", "open", "binary", "all", "accuracy")
MEASURED = {
    "egomcq": _QUESTIONS,
    "epic": _RANKS,
    "charades": ["mAP", "weighted_mAP"],
    "egotaskqa": [f"{part}.{kind}" for part in ("val", "test") for kind in _KINDS],
    "qfvs": [f"{p}{m}" for p in ("", "val_") for m in ("f1", "precision", "recall")],
}


@dataclass(frozen=True)
class Config:
    """One run: everything that a variant and a preset decide."""

    seed: int = 0
    world_seed: int = 0
    model: ModelConfig = field(default_factory=egovlpv2)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    #: Names that fields once had.
    renamed: ClassVar[dict[str, str]] = {
        "model.time_init": "initial.time_init",
        "model.initial_std": "initial.weight_std",
        "model.position_std": "initial.position_std",
        "data.label_share": "data.label_fraction",
        "optim.head_factor": "optim.head_lr_factor",
        "optim.cross_factor": "optim.cross_lr_factor",
        "optim.decay": "optim.schedule",
        "optim.decay_power": "optim.polynomial_power",
        "optim.end_rate": "optim.end_learning_rate",
        "optim.warmup": "optim.warmup_fraction",
        "optim.epoch_rate": "optim.epoch_learning_rate",
        "optim.epoch_rate_value": "optim.epoch_learning_rate_value",
        "optim.epoch_rate_milestones": "optim.epoch_learning_rate_milestones",
        "optim.epoch_samples": "data.epoch_samples",
        "infer.batch": "infer.batch_size",
    }

    def __post_init__(self) -> None:
        self._check_objectives()
        self._check_batches()
        self._check_evaluation()
        length, longest = self.data.text_length, self.model.longest_text
        require(
            length <= longest,
            f"data.text_length {length} exceeds the {longest} tokens that model.text_positions "
            f"{self.model.text_positions} has room for",
            f"set data.text_length to {longest} or less",
        )

    def _check_objectives(self) -> None:
        require(
            self.loss.pretrains == (self.data.train == "egoclip"),
            f"loss.objectives {list(self.loss.objectives)} on data.train {self.data.train!r}",
            "egoclip takes egonce, mlm, itm; epic and charades one retrieval loss",
        )
        require(
            self.loss.objectives != ("sms",) or self.data.train == "epic",
            f"loss.objectives [sms] needs relevancies; data.train {self.data.train!r} has none",
            "set data.train: epic, or another objective",
        )
        head = HEADS.get(self.data.train)
        wanted = set(self.loss.objectives) & set(HEADS.values())
        require(
            wanted == ({head} if head else set()),
            f"loss.objectives {list(self.loss.objectives)} on data.train {self.data.train!r}",
            f"{self.data.train} takes [{head or 'a loss without a head'}]",
        )
        require(
            self.data.train != "qfvs" or self.model.summarizer is not None,
            "data.train: qfvs without model.summarizer",
            "set model.summarizer: {builder: qfvs}",
        )
        pairs = self.data.scene_negatives and self.data.scene_partner == "reversed"
        require(
            not self.loss.order_weight or not self.loss.pretrains or pairs,
            f"loss.order_weight {self.loss.order_weight} has no pairs to learn from with "
            f"data.scene_negatives {self.data.scene_negatives}, data.scene_partner "
            f"{self.data.scene_partner!r}",
            "set data.scene_negatives: true and data.scene_partner: reversed, or "
            "loss.order_weight: 0",
        )

    def _check_batches(self) -> None:
        micro, size = self.fit.micro_batch_size, self.fit.batch_size
        divided = micro is not None and micro * max(self.fit.processes, 1) * self.fit.nodes < size
        require(
            not divided or self.loss.negatives == "micro_batch",
            f"fit.micro_batch_size {micro} divides an update of {size} clips, so that clips are "
            "compared with fewer texts than published",
            "model.gradient_checkpointing and fit.precision save memory without that; or say "
            "loss.negatives: micro_batch",
        )

    def _check_evaluation(self) -> None:
        fit, name = self.fit, self.fit.monitor.partition(":")[0]
        require(
            fit.evaluate_weights == "live" or fit.ema_decay is not None,
            "fit.evaluate_weights: ema without fit.ema_decay",
            "set fit.ema_decay, or fit.evaluate_weights: live",
        )
        known = MEASURED[TRAINED_FOR[self.data.train]]
        if not self.data.summaries.val_video:
            known = [n for n in known if not n.startswith("val_")]
        evaluates = fit.evaluate_every or fit.evaluate_every_updates or fit.evaluate_first
        require(
            not name or not evaluates or name in known,
            f"fit.monitor {name!r} is no metric of data.train {self.data.train!r}",
            f"one of {', '.join(known)}",
        )
