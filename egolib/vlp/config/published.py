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


TRAININGS = {
    "egoclip_pretrain": egoclip_pretrain,
    "epic_finetune": epic_finetune,
    "charades_finetune": charades_finetune,
}
for _name, _make in TRAININGS.items():
    DataConfig.builders[_name] = lambda make=_make: make()[0]  # type: ignore[misc]
    LossConfig.builders[_name] = lambda make=_make: make()[1]  # type: ignore[misc]
    OptimConfig.builders[_name] = lambda make=_make: make()[2]  # type: ignore[misc]
