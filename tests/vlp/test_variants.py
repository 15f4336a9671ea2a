"""Every variant under every preset, and the published configurations as they are."""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.vlp.config import Config

VARIANTS = configs.variants("vlp")


def resolved(variant: str, preset: str) -> Config:
    return configs.build(Config, configs.resolve(Config, "vlp", variant, preset))


@pytest.mark.parametrize("preset", configs.presets())
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_resolves(variant: str, preset: str) -> None:
    config = resolved(variant, preset)
    assert config.model.vocabulary_size == (50265 if preset == "paper" else 0)
    about = configs.read_variant("vlp", variant).about
    assert {"title", "source", "checkpoint"} <= about.keys()


def test_the_published_pre_training() -> None:
    config = resolved("egoclip_pretrain", "paper")
    fit = config.fit
    assert fit.batch_size == 256 and fit.epochs == 20
    assert (config.optim.learning_rate, config.optim.head_lr_factor) == (3e-5, 4.0)
    assert config.loss.objectives == ("egonce", "mlm", "itm")
    assert (config.model.frames, config.model.projection_width) == (4, 4096)
    assert config.data.frame_jitter == config.initial.time_init == "official"


@pytest.mark.parametrize(
    ("variant", "objective", "frames", "rate", "epochs"),
    [
        ("epic_finetune", "adaptive_margin", 16, 2e-4, 100),
        ("epic_finetune_maxmargin", "max_margin", 16, 2e-4, 100),
        ("epic_finetune_sms", "sms", 16, 2e-4, 100),
        ("charades_finetune", "norm_softmax", 32, 1.5e-5, 20),
    ],
)
def test_the_published_fine_tunings(
    variant: str, objective: str, frames: int, rate: float, epochs: int
) -> None:
    config = resolved(variant, "paper")
    assert config.loss.objectives == (objective,)
    assert (config.model.frames, config.model.projection) == (frames, "small")
    assert (config.optim.learning_rate, config.fit.epochs) == (rate, epochs)
    assert config.optim.epoch_learning_rate == "official"


def test_comparisons_differ_in_where_weights_start_alone() -> None:
    for preset in configs.presets():
        pretrained, scratch = (resolved(f"epic_{n}_10", preset) for n in ("finetune", "scratch"))
        names = ("model", "data", "loss", "optim", "fit")
        assert all(getattr(pretrained, n) == getattr(scratch, n) for n in names)
