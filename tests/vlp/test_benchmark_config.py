from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from egolib.vlp import benchmark_config
from egolib.vlp.benchmark_config import (
    QuestionConfig,
    SummarizerConfig,
    SummaryConfig,
    egotaskqa_optim,
    qfvs_honest,
)

#: Neither choice is the more honest one.
NEUTRAL = {"frame_order", "augment"}


@pytest.mark.parametrize("config", [QuestionConfig, SummarizerConfig, SummaryConfig])
def test_quirks_default_to_the_official_behaviour(config: type) -> None:
    hints = get_type_hints(config, vars(benchmark_config))
    choices = {f.name: get_args(hints[f.name]) for f in fields(config)}
    official = {name for name, options in choices.items() if "official" in options}
    assert len(official) >= 3
    ordered = {"frame_order"}  # asks where it matters
    assert all(getattr(config(), name) == "official" for name in official - ordered)
    assert config in (type(build()) for build in config.builders.values())


@pytest.mark.parametrize("build", [QuestionConfig, SummaryConfig, SummarizerConfig])
def test_honest_variants_change_every_quirk(build: type) -> None:
    official, honest = build(), list(build.builders.values())[-1]()
    hints = get_type_hints(build, vars(benchmark_config))
    for field in fields(build):
        if "official" in get_args(hints[field.name]) and field.name not in NEUTRAL:
            assert getattr(official, field.name) != getattr(honest, field.name), field.name


def test_videos_that_are_trained_on() -> None:
    assert SummaryConfig(test_video=3).training == (1, 2, 4)
    assert SummaryConfig(test_video=3, train_videos=(1, 3)).training == (1,)
    assert qfvs_honest().training == (3, 4)


def test_published_rates() -> None:
    assert egotaskqa_optim("direct").learning_rate == 2e-4
    assert egotaskqa_optim("indirect").learning_rate == 1e-4


def test_no_torch_behind() -> None:
    code = "import egolib.vlp.benchmark_config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
