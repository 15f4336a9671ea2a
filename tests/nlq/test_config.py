"""Configurations: published numbers, and that YAML can say everything."""

from __future__ import annotations

import re

import pytest

from egolib.config import build, refuse_old_names, to_tree
from egolib.errors import EgolibError
from egolib.nlq.config import (
    Config,
    ModelConfig,
    OptimConfig,
    finetune,
    groundnlq,
    groundnlq_star,
    pretrain,
    scratch,
)
from egolib.nlq.models.network import GroundNLQ


@pytest.mark.parametrize(
    ("config", "parameters"), [(groundnlq(), 32_527_498), (groundnlq_star(), 36_080_266)]
)
def test_published_sizes(config, parameters):
    assert sum(p.numel() for p in GroundNLQ(config).parameters()) == parameters


def test_published_trainings():
    rates = [(c.learning_rate, c.warmup_epochs) for c in (pretrain(), scratch(), finetune())]
    assert rates == [(2e-4, 4), (1e-4, 5), (2.5e-5, 4)]


def test_plain_values_there_and_back():
    tree = {
        "model": {"builder": "groundnlq_star", "width": 64, "text_streams": [["query", 512]]},
        "optim": {"builder": "finetune"},
        "infer": {"suppression": {"max_segments": 50}},
    }
    config = build(Config, tree)
    assert config.model.cross_branch_blocks == 6 and config.model.width == 64
    assert config.optim == finetune()
    assert config.infer.suppression.sigma == 0.75
    assert build(Config, to_tree(config)) == config


@pytest.mark.parametrize("part", [ModelConfig, OptimConfig, Config])
def test_every_builder_builds(part):
    for name in getattr(part, "builders", {}):
        assert isinstance(build(part, {"builder": name}), part)


def test_quirks_are_choices():
    with pytest.raises(EgolibError, match="decode_offset"):
        build(Config, {"infer": {"decode_offset": "none"}})


@pytest.mark.parametrize(("old", "new"), list(Config.renamed.items()))
def test_old_names_are_refused_with_the_new_one(old, new):
    tree: dict = {"x": 1} if old == "train" else 1
    for part in reversed(old.split(".")):
        tree = {part: tree}
    with pytest.raises(EgolibError, match=re.escape(new)):
        refuse_old_names(Config, tree)
