"""Official checkpoints, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.mq.formats.checkpoint import MODELS, keys_of, read_official, recognise, to_official
from egolib.mq.models.vsgn import build
from tests.mq.small import SMALL


@pytest.mark.parametrize("graph", [True, False])
def test_files_round_trip(tmp_path, graph):
    network = build(replace(SMALL, graph=graph), 0)
    official = {f"module.{k}": v for k, v in to_official(network).items()}
    file = tmp_path / "best.pth.tar"
    torch.save({"epoch": 3, "state_dict": official, "optimizer": {}}, file)
    loaded, config = read_official(file, start=replace(SMALL, graph=True))
    assert config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


@pytest.mark.parametrize("graph", [True, False])
def test_published_architectures_are_told_apart(graph):
    network = build(replace(SMALL, graph=graph), 0)
    official = to_official(network)
    (model,) = [m for m in MODELS if m.matches(official)]
    assert model.name == ("mq/vsgn" if graph else "mq/vsgn_plain")
    back = model.to_official(network.state_dict(), {"model": to_tree(network.config)})
    assert back.keys() == {f"module.{name}" for name in official}


def test_sizes_are_read_off_the_weights():
    config = recognise(to_official(build(SMALL)), replace(SMALL, width=1, classes=1, levels=9))
    assert config == SMALL


def test_other_files_are_refused(tmp_path):
    with pytest.raises(EgolibError, match="not a VSGN checkpoint"):
        recognise({"x": torch.zeros(1)})
    official = to_official(build(SMALL))
    with pytest.raises(EgolibError, match="2 anchor scales, the configuration 3"):
        recognise(official, replace(SMALL, anchor_scales=(1, 2, 3)))
    del official["bd_adjust.end_conv.2.bias"]
    with pytest.raises(EgolibError, match=r"missing: boundary\.end\.output\.bias"):
        keys_of(SMALL).load(build(SMALL), official)
    with pytest.raises(EgolibError, match="unexpected"):
        keys_of(SMALL).load(build(SMALL), to_official(build(SMALL)) | {"extra": torch.zeros(1)})
