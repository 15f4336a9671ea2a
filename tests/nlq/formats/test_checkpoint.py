"""Official names, both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from egolib import config as configs
from egolib.cli import app
from egolib.cli.conversion import convert_file
from egolib.errors import EgolibError
from egolib.io.records import read_json
from egolib.nlq.api import load, save
from egolib.nlq.config import Config, InferConfig, ModelConfig
from egolib.nlq.formats.checkpoint import KEYS, MODELS, read_official, recognise, to_official
from egolib.nlq.models.network import GroundNLQ
from egolib.nlq.models.vslnet.network import Vslnet
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


# ------------------------------------------------------------- strict, any size, both ways


def exported(tmp_path, model=None):
    """A reduced trained network as an official file."""
    model = model or network()
    ours = save(tmp_path / "ours.safetensors", model, infer=InferConfig(text_batch=3))
    convert_file(ours, tmp_path / "official.pth")
    return model, tmp_path / "official.pth"


@pytest.mark.parametrize("star", [False, True])
def test_a_reduced_network_goes_out_and_comes_back(tmp_path, star):
    """Heads and windows leave no trace in the weights: the sidecar says them."""
    blocks = {"cross_branch_blocks": 4, "plain_branch_blocks": 0} if star else {}
    model, official = exported(tmp_path, network(replace(SMALL, windows=(5,), **blocks)))
    convert_file(official, tmp_path / "back.safetensors")
    back = load(tmp_path / "back.safetensors")
    assert back.model.config == load(official).model.config == model.config
    assert back.infer.text_batch == 3
    for name, value in model.state_dict().items():
        assert torch.equal(back.model.state_dict()[name], value)


BLOCK = "backbone.vid_stem.1.ln1.weight"
FAULTS = {
    "missing": (lambda s: {k: v for k, v in s.items() if k != BLOCK}, "1 missing"),
    "a needed one": (
        lambda s: {k: v for k, v in s.items() if k != "cls_head.cls_head.conv.weight"},
        "without 'cls_head.cls_head.conv.weight'",
    ),
    "unknown": (lambda s: {**s, "extra": torch.ones(1)}, "1 unexpected: extra"),
    "reshaped": (lambda s: {**s, BLOCK: torch.ones(1, 3, 1)}, "1 reshaped"),
    "no level": (
        lambda s: {k: v for k, v in s.items() if not k.startswith("backbone.branch.3")},
        "2 unexpected|3 unexpected",
    ),
    "not finite": (lambda s: {**s, BLOCK: s[BLOCK] * float("nan")}, "NaN"),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("target", ["convert", "load"])
def test_a_fault_in_an_official_file_is_an_error(tmp_path, kind, target):
    change, message = FAULTS[kind]
    torch.save({"state_dict": change(to_official(network()))}, tmp_path / "a.pth")
    with pytest.raises(EgolibError, match=message):
        if target == "load":
            load(tmp_path / "a.pth", model=SMALL)
        else:
            convert_file(tmp_path / "a.pth", tmp_path / "b.safetensors", model="nlq/groundnlq")


def test_half_precision_and_averaged_weights(tmp_path):
    config = replace(SMALL, heads=4, max_length=2560)
    live, average = (network(config, seed) for seed in (0, 1))
    half = {k: v.half() for k, v in to_official(average).items()}
    content = {"state_dict": to_official(live), "state_dict_ema": half}
    torch.save(content, tmp_path / "a.pth.tar")
    convert_file(tmp_path / "a.pth.tar", tmp_path / "b.safetensors", weights="averaged")
    found = load(tmp_path / "b.safetensors").model.state_dict()
    assert all(value.dtype == torch.float32 for value in found.values())
    for name, value in average.state_dict().items():
        torch.testing.assert_close(found[name], value.half().float())


def test_every_kind_of_training_can_be_exported(tmp_path):
    """Of all variants; one with further token streams has no official form, which is said."""
    for variant in configs.variants("nlq"):
        config = configs.build(Config, configs.resolve(Config, "nlq", variant, "tiny"))
        model = GroundNLQ(config.model)
        if config.model.span is not None:
            model = Vslnet(replace(config.model.span, video_width=8, text_width=6))
        ours = save(tmp_path / f"{variant}.safetensors", model, config.data, config.infer)
        if len(config.model.text_streams) > 1:
            with pytest.raises(EgolibError, match="official name"):
                convert_file(ours, tmp_path / f"{variant}.pth")
            continue
        convert_file(ours, tmp_path / f"{variant}.pth")
        expected = config.model if config.model.span is None else model.config
        assert load(tmp_path / f"{variant}.pth").model.config == expected
