"""The published trainings, by section. No torch."""

from __future__ import annotations

from dataclasses import replace

from egolib.vlp.config.data import DataConfig
from egolib.vlp.config.losses import LossConfig
from egolib.vlp.config.optim import OptimConfig

Published = tuple[DataConfig, LossConfig, OptimConfig]


def egoclip_pretrain() -> Published:
    """The published pre-training: 20 epochs, 256 clips an update, 4 frames."""
    return DataConfig(), LossConfig(), OptimConfig()


def epic_finetune() -> Published:
    """The published EPIC-KITCHENS-100 fine-tuning: 100 epochs, 16 frames."""
    optim = OptimConfig(
        learning_rate=2e-4, head_lr_factor=1.0, cross_lr_factor=1.0, epoch_learning_rate="official"
    )
    return (
        DataConfig(train="epic", text_length=30, scene_negatives=False),
        LossConfig(objectives=("adaptive_margin",), margin=0.2),
        optim,
    )


def charades_finetune() -> Published:
    """The published Charades-Ego fine-tuning: 20 epochs, 32 frames."""
    data, _, optim = epic_finetune()
    return (
        replace(data, train="charades", text_length=15),
        LossConfig(objectives=("norm_softmax",)),
        replace(optim, learning_rate=1.5e-5),
    )


def egotaskqa_direct() -> Published:
    """EgoTaskQA with direct references: 36 epochs of 64 questions an update, 16 frames."""
    optim = OptimConfig(
        learning_rate=2e-4,
        head_lr_factor=1.0,
        cross_lr_factor=1.0,
        betas=(0.9, 0.999),
        adamw="torch",
    )
    data = DataConfig(train="egotaskqa", text_length=30, scene_negatives=False)
    return data, LossConfig(objectives=("answers",)), optim


def egotaskqa_indirect() -> Published:
    """EgoTaskQA with indirect references: half the rate."""
    data, loss, optim = egotaskqa_direct()
    questions = replace(data.questions, split="indirect")
    return replace(data, questions=questions), loss, replace(optim, learning_rate=1e-4)


def egotaskqa_honest() -> Published:
    """EgoTaskQA with every correction of data and loss."""
    data, loss, optim = egotaskqa_direct()
    questions = replace(data.questions, answer_case="lower", short_videos="repeat")
    return replace(data, questions=questions), replace(loss, distributed="exact"), optim


def qfvs() -> Published:
    """QFVS: 20 epochs of 4 queries an update; rates of 2e-6 and 4.8e-8 at most.

    Official behaviour: a network hardly leaves its random start with such rates.
    """
    optim = OptimConfig(
        learning_rate=1e-5,
        head_lr_factor=0.2,
        bias_lr_factor=0.0048,
        betas=(0.9, 0.999),
        adamw="torch",
        weight_decay=0.1,
        warmup_epochs=2,
        end_learning_rate=1e-8,
    )
    data = DataConfig(train="qfvs", text_length=15, scene_negatives=False)
    return data, LossConfig(objectives=("summaries",)), optim


def qfvs_honest() -> Published:
    """QFVS with fixed features, a higher rate, dropout, chosen on a video of its own."""
    data, loss, optim = qfvs()
    summaries = replace(
        data.summaries,
        crop="test",
        kernel_sums="double",
        first_segment="longest",
        numbers="strict",
        val_video=2,
    )
    return (
        replace(data, summaries=summaries),
        replace(loss, reduction="mean", train_mode="dropout"),
        replace(
            optim,
            learning_rate=1e-4,
            head_lr_factor=1.0,
            bias_lr_factor=1.0,
            end_learning_rate=1e-7,
        ),
    )


TRAININGS = {
    "egoclip_pretrain": egoclip_pretrain,
    "epic_finetune": epic_finetune,
    "charades_finetune": charades_finetune,
    "egotaskqa_direct": egotaskqa_direct,
    "egotaskqa_indirect": egotaskqa_indirect,
    "egotaskqa_honest": egotaskqa_honest,
    "qfvs": qfvs,
    "qfvs_honest": qfvs_honest,
}
for _name, _make in TRAININGS.items():
    DataConfig.builders[_name] = lambda make=_make: make()[0]  # type: ignore[misc]
    LossConfig.builders[_name] = lambda make=_make: make()[1]  # type: ignore[misc]
    OptimConfig.builders[_name] = lambda make=_make: make()[2]  # type: ignore[misc]
