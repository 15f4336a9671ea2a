"""Official layout, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.config import build
from egolib.errors import EgolibError
from egolib.io.checkpoint import find_state, load, read_foreign, save
from egolib.nlq.config.span import VslnetConfig, vslnet, vslnet_small
from egolib.nlq.models.vslnet.convert import KEYS, MODELS, recognise, to_official
from egolib.nlq.models.vslnet.network import Vslnet
from tests.nlq.vslnet.small import FULL, SMALL, batch, network, run
from tests.parity.recordings import DEFAULT, read

PUBLISHED = {"vslnet": vslnet, "vslnet_small": vslnet_small}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_networks_have_exactly_the_published_entries(name):
    keys = read(DEFAULT / "nlq_vslnet" / f"{name}.keys.json")
    official = to_official(Vslnet(PUBLISHED[name]()))
    assert {k: ["float32", list(v.shape)] for k, v in official.items()} == keys
    assert recognise(official) == PUBLISHED[name]()
    assert [m.name for m in MODELS if m.matches(official)] == [f"nlq/{name}"]


@pytest.mark.parametrize("config", [FULL, SMALL])
def test_there_and_back(config, tmp_path):
    model = network(config)
    file = tmp_path / "head.pth"
    torch.save({"state_dict": to_official(model)}, file)
    official = find_state(read_foreign(file))
    found = recognise(official, start=replace(config, width=1, max_length=1, conv_layers=9))
    assert found == config
    again = Vslnet(found).eval()
    assert KEYS.load(again, official, file=file).complete
    inputs = batch(config)
    assert torch.equal(run(model, inputs).end, run(again, inputs).end)


def test_as_egolib_convert_uses_it(tmp_path):
    official = to_official(network(SMALL))
    (known,) = [m for m in MODELS if m.matches(official)]
    state, sidecar = known.to_ours(official)
    path = save(tmp_path / "x.safetensors", state, {"model": known.name, "config": sidecar})
    state, about = load(path)
    assert build(VslnetConfig, about["config"]["model"]).fusion == "concatenation"
    back = known.to_official(state, about["config"])
    assert all(torch.equal(back[name], value) for name, value in official.items())


def test_strict_in_both_directions():
    official = to_official(network())
    short = {k: v for k, v in official.items() if not k.startswith("cq_concat.conv1d")}
    with pytest.raises(EgolibError, match="2 missing"):
        KEYS.load(Vslnet(FULL), short)
    with pytest.raises(EgolibError, match="1 unexpected"):
        KEYS.load(Vslnet(FULL), official | {"start_encoder.lstm.weight": torch.zeros(1)})
    with pytest.raises(EgolibError, match="no rule"):
        KEYS.to_official({"other": torch.zeros(1)})


def test_something_else():
    with pytest.raises(EgolibError, match="not a VSLNet checkpoint"):
        recognise({"backbone.weight": torch.zeros(1)})
