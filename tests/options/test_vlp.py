"""Every alternative of vlp's options is accepted, or refused when the configuration is built with
the fields named. (``python -m tests.options vlp`` also trains and infers with each.)"""

from __future__ import annotations

import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.vlp.config import Config
from tests.options.vlp import PRESET, alternatives, texts


def test_refusals_name_fields_and_say_what_fits():
    refused = []
    chosen = [a for a in alternatives() if a.field]
    for alternative in chosen:
        try:
            configs.resolve(Config, "vlp", alternative.variant, PRESET, texts(alternative))
        except EgolibError as error:
            assert alternative.field in error.what, error.what
            assert error.remedy, error.what
            refused.append(alternative)
    assert len(chosen) > 150 and 10 < len(refused) < 50


COMBINATIONS = {
    "fit.micro_batch_size": ["fit.micro_batch_size=4"],
    "fit.evaluate_weights": ["fit.evaluate_weights=ema"],
    "fit.monitor": ["fit.monitor=mAP:max"],
    "loss.objectives": ["data.train=epic", "data.scene_negatives=false"],
    "data.scene_negatives": ["data.train=epic", "loss.objectives=[sms]"],
    "loss.order_weight": ["loss.order_weight=1"],
    "optim.epoch_learning_rate": ["optim.head_lr_factor=4", "optim.epoch_learning_rate=official"],
    "optim.milestones": ["optim.schedule=multistep"],
    "data.text_length": ["model.text_positions=10"],
    "model.heads": ["model.heads=5"],
    "infer.benchmarks": ["infer.benchmarks=[epic,epic]"],
}


@pytest.mark.parametrize("field", COMBINATIONS)
def test_combinations_that_cannot_work_are_refused(field):
    with pytest.raises(EgolibError) as found:
        configs.resolve(Config, "vlp", "egoclip_pretrain_smallproj", "tiny", COMBINATIONS[field])
    assert field in found.value.what and found.value.remedy


@pytest.mark.parametrize(
    ("old", "new"), [("optim.warmup", "optim.warmup_fraction"), ("infer.batch", "infer.batch_size")]
)
def test_old_names_are_refused_with_the_new_one(old, new):
    with pytest.raises(EgolibError, match=new):
        configs.resolve(Config, "vlp", "egoclip_pretrain_smallproj", "tiny", [f"{old}=1"])
