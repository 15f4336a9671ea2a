"""Every start that a published configuration names loads, by its own names of entries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egolib import config as configs
from egolib.config import build
from egolib.errors import EgolibError
from egolib.nn.config import SwinConfig
from egolib.vod.config import Config, ModelConfig
from egolib.vod.models.build import build_model
from egolib.vod.optim import load_flow, load_start
from tests.vod.published import BACKBONE, write_start
from tests.vod.small import reduced

VARIANTS = [v for v in configs.variants("vod") if not v.endswith("_staged")]


def paper(variant: str) -> Config:
    return build(Config, configs.resolve(Config, "vod", variant, "paper"))


def small(config: ModelConfig) -> ModelConfig:
    """The network with small numbers, its norms and conventions as published."""
    few = reduced(config)
    resnet = replace(config.resnet, blocks=few.resnet.blocks, stem_channels=8, width=8)
    return replace(few, resnet=resnet)


def network(config: ModelConfig, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = build_model(config)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value))
    return model


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_starts(variant: str, tmp_path: Path):
    config = paper(variant)
    assert config.initial.weights, "every published variant names its start"
    model = small(config.model)
    given, made = network(model, 0), build_model(model)
    path = write_start(tmp_path / config.initial.weights, given, model)
    report = load_start(made, model, path, config.initial.format)
    absent = [name for name in report.missing if name.startswith(BACKBONE)]
    classifier = path.name.startswith("swin_")  # has no norms of outputs
    assert all(name.startswith(f"{BACKBONE}norms.") for name in absent)
    assert bool(absent) == classifier and not report.reshaped
    ours, theirs = made.state_dict(), given.state_dict()
    for name in ours:
        moved = ".merge." in name or name.endswith(("running_mean", "running_var"))
        inside = name.startswith((BACKBONE, "detector.head.stage."))
        if inside and name not in absent and not moved:
            assert torch.equal(ours[name], theirs[name]), name
    if path.suffix == ".pkl":  # statistics were worked into scale and shift
        assert ours[f"{BACKBONE}layer1.0.norm1.running_var"].eq(1).all()
    if config.initial.flow:
        flow = write_start(tmp_path / config.initial.flow, given, model)
        assert load_flow(made, model, flow).complete
        assert torch.equal(made.motion.predict[0].weight, given.motion.predict[0].weight)


def test_further_blocks_start_fresh(tmp_path: Path):
    """TDViT-T+ has two blocks more than the Swin-T that it starts from."""
    model = small(paper("tdvit_t").model)
    path = write_start(tmp_path / "swin_tiny.pth", network(model, 0), model)
    longer = replace(
        model,
        swin=replace(model.swin, depths=(2, 2, 6, 2)),
        temporal=replace(model.temporal, layout=("st", "st", "sstttt", "st")),
    )
    report = load_start(build_model(longer), longer, path, "microsoft")
    assert {name.split(".")[3:6][2] for name in report.missing if "stages.2" in name} == {"4", "5"}


@pytest.mark.parametrize(
    ("variant", "change"),
    [
        ("mamba_r101_dc5", lambda m: replace(m, resnet=replace(m.resnet, blocks=(3, 4, 9, 3)))),
        ("stpn_swint", lambda m: replace(m, swin=SwinConfig(16, (2, 2, 18, 2), (1, 2, 4, 4)))),
        ("mega_r101", lambda m: replace(m, resnet=replace(m.resnet, width=16))),
    ],
)
def test_starts_of_other_sizes_are_refused(variant: str, change, tmp_path: Path):
    config = paper(variant)
    model = small(config.model)
    path = write_start(tmp_path / config.initial.weights, network(model, 0), model)
    other = change(model)
    with pytest.raises(EgolibError, match=r"fills \d+ of \d+ entries of the backbone"):
        load_start(build_model(other), other, path, config.initial.format)
