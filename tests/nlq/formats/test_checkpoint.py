"""Official names, both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from egolib.cli import app
from egolib.cli.conversion import convert_file
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.nlq.api import load
from egolib.nlq.config import ModelConfig
from egolib.nlq.formats.checkpoint import KEYS, MODELS, read_official, recognise, to_official
from egolib.nlq.models.network import GroundNLQ
from tests.nlq.small import CUES, SMALL, network
from tests.parity.weights import make_state_dict

PARITY = Path(__file__).parents[2] / "parity" / "data"
VARIANTS = [
    SMALL,
    replace(SMALL, cross_branch_blocks=2, plain_branch_blocks=1, text_blocks=1),
    replace(SMALL, relative_bias=True, windows=(5,)),
    replace(SMALL, embedding_norm=False, head_norm=False, level_norm=False, head_layers=2),
    replace(SMALL, drop_path=0.0, embedding_kernel=5, head_kernel=5, classes=3, head_width=8),
]


@pytest.mark.parametrize("config", VARIANTS)
def test_there_and_back(config):
    model = network(config)
    official = to_official(model)
    assert len(official) == len(model.state_dict())
    assert recognise(official, replace(SMALL, windows=config.windows)) == config
    other = GroundNLQ(config)
    assert KEYS.load(other, official).complete
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_strict_both_ways():
    official = to_official(network())
    model = GroundNLQ(SMALL)
    with pytest.raises(EgolibError, match=r"1 missing: stem.0.attention_norm.weight"):
        KEYS.load(
            model, {k: v for k, v in official.items() if k != "backbone.vid_stem.0.ln1.weight"}
        )
    with pytest.raises(EgolibError, match="1 unexpected: extra"):
        KEYS.load(model, {**official, "extra": torch.ones(1)})
    with pytest.raises(EgolibError, match="1 reshaped"):
        KEYS.load(model, {**official, "reg_head.offset_head.conv.bias": torch.ones(3)})


def test_a_network_with_cues_has_no_official_form():
    with pytest.raises(EgolibError, match="official name"):
        to_official(network(CUES))


def test_files_with_a_wrapper_prefix(tmp_path):
    model = network(replace(SMALL, heads=4))
    state = {f"module.{k}": v for k, v in to_official(model).items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "a.pth.tar")
    found, config = read_official(tmp_path / "a.pth.tar", start=replace(SMALL, heads=4))
    assert config == model.config
    assert torch.equal(found.level_scales[1], model.level_scales[1])
    with pytest.raises(EgolibError, match="averaged"):
        read_official(tmp_path / "a.pth.tar", weights="averaged")


def test_another_model_is_refused():
    with pytest.raises(EgolibError, match="not a GroundNLQ"):
        recognise({"head.weight": torch.ones(1)}, ModelConfig())


@pytest.mark.parametrize("star", [False, True])
def test_models_of_the_command_line(tmp_path, monkeypatch, star):
    """``egolib convert`` there and back: recognised, and read by ``load``."""
    models = {model.name: model for model in MODELS}
    monkeypatch.setattr("egolib.cli.conversion.official_models", lambda: models)
    blocks = {"cross_branch_blocks": 4, "plain_branch_blocks": 0} if star else {}
    model = network(replace(SMALL, heads=4, max_length=2560, **blocks))
    official = to_official(model)
    torch.save({"state_dict": official}, tmp_path / "a.pth")
    report = convert_file(tmp_path / "a.pth", tmp_path / "b.safetensors")
    assert report["model"] == ("nlq/groundnlq_star" if star else "nlq/groundnlq")
    assert load(tmp_path / "b.safetensors").model.config == model.config
    convert_file(tmp_path / "b.safetensors", tmp_path / "c.pth")
    back = torch.load(tmp_path / "c.pth")["state_dict"]
    assert back.keys() == official.keys()
    assert all(torch.equal(back[name], value) for name, value in official.items())


@pytest.mark.parametrize("name", ["groundnlq", "groundnlq_star"])
def test_key_files_through_the_command_line(tmp_path, name):
    """Weights generated under every published name: told apart from all other tasks' models."""
    keys = read_json(PARITY / "nlq" / f"{name}.keys.json")
    official = {k: torch.as_tensor(v) for k, v in make_state_dict(keys, seed=1).items()}
    torch.save({"epoch": 5, "state_dict": official}, tmp_path / "a.pth.tar")
    arguments = ["convert", str(tmp_path / "a.pth.tar"), str(tmp_path / "b.safetensors"), "--json"]
    found = CliRunner().invoke(app, arguments)
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["model"] == f"nlq/{name}"
    assert load(tmp_path / "b.safetensors").model.config.width == 384
    arguments = ["convert", str(tmp_path / "b.safetensors"), str(tmp_path / "c.pth")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    back = torch.load(tmp_path / "c.pth")["state_dict"]
    assert back.keys() == official.keys()
    assert all(torch.equal(back[key], value) for key, value in official.items())
