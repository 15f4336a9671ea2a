from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from egolib import config as configs
from egolib.errors import EgolibError
from egolib.vlp.config import Config, QuestionConfig, SummarizerConfig, SummaryConfig, benchmarks

HONEST = ("egotaskqa_direct_honest", "egotaskqa_indirect_honest", "qfvs_honest")


def resolved(variant: str) -> Config:
    return configs.build(Config, configs.resolve(Config, "vlp", variant, "paper"))


@pytest.mark.parametrize("config", [QuestionConfig, SummarizerConfig, SummaryConfig])
def test_quirks_default_to_the_official_behaviour(config: type) -> None:
    hints = get_type_hints(config, vars(benchmarks))
    choices = {f.name: get_args(hints[f.name]) for f in fields(config)}
    official = {name for name, options in choices.items() if "official" in options}
    assert len(official) >= 3
    ordered = {"frame_order"}  # asks where it matters
    assert all(getattr(config(), name) == "official" for name in official - ordered)


@pytest.mark.parametrize("variant", HONEST)
def test_honest_variants_change_every_quirk_of_their_benchmark(variant: str) -> None:
    honest = configs.flatten(configs.to_tree(resolved(variant)))
    kinds = {
        "egotaskqa": ("data.questions.", "infer.question", "evaluate.max_types", "evaluate.average",
                      "loss.distributed"),
        "qfvs": ("data.summaries.", "model.summarizer.", "evaluate.empty", "evaluate.zero",
                 "loss.reduction", "loss.train_mode"),
    }  # fmt: skip
    own = {k: v for k, v in honest.items() if k.startswith(kinds[variant.split("_")[0]])}
    left = {k for k, v in own.items() if v == "official"}
    assert own and left <= {"data.questions.augment"}  # neither choice is the more honest one
    assert "test" not in honest["fit.monitor"] and honest["fit.monitor"].startswith("val")


def test_videos_that_are_trained_on() -> None:
    assert SummaryConfig(test_video=3).training == (1, 2, 4)
    assert SummaryConfig(test_video=3, train_videos=(1, 3)).training == (1,)
    assert resolved("qfvs_honest").data.summaries.training == (3, 4)
    with pytest.raises(EgolibError, match="no video to train on"):
        SummaryConfig(test_video=1, train_videos=(1,))


def test_a_head_needs_its_data() -> None:
    with pytest.raises(EgolibError, match="answers"):
        configs.build(Config, {"loss": {"objectives": ["answers"]}, "data": {"train": "qfvs"}})


@pytest.mark.parametrize(
    ("variant", "rate", "epochs", "batch", "frames"),
    [
        ("egotaskqa_direct_published", 2e-4, 36, 64, 16),
        ("egotaskqa_indirect_published", 1e-4, 36, 64, 16),
        ("qfvs_published", 1e-5, 20, 4, 5),
    ],
)
def test_published_values(variant: str, rate: float, epochs: int, batch: int, frames: int) -> None:
    config = resolved(variant)
    assert config.optim.learning_rate == rate
    assert (config.fit.epochs, config.fit.batch_size) == (epochs, batch)
    assert (config.model.frames, config.model.projection) == (frames, "large")


def test_no_torch_behind() -> None:
    code = "import egolib.vlp.config.benchmarks, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
