"""Every kind of network that a training can make is exported and read back, whatever its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from egolib.cli.conversion import convert_file
from egolib.config import to_tree
from egolib.io import checkpoint
from tests.mq import small as mq
from tests.nlq import small as nlq
from tests.vlp import small as vlp
from tests.vod import small as vod
from tests.vq2d import made as vq2d

Made = tuple[nn.Module, dict[str, Any]]


def made_nlq() -> Made:
    return nlq.network(), {"model": "nlq/trained", "config": {"model": to_tree(nlq.SMALL)}}


def made_mq() -> Made:
    from egolib.mq.models.vsgn import build

    return build(mq.SMALL, 0), {"model": "mq/vsgn", "config": {"model": to_tree(mq.SMALL)}}


def made_vlp() -> Made:
    model = vlp.small_model()
    return model, {"model": "vlp", "config": to_tree(model.config)}


def made_siamese() -> Made:
    from egolib.vq2d.models.model import SiameseRcnn

    config = vq2d.tiny_detector()
    return SiameseRcnn(config), {"model": "vq2d/siamese_rcnn", "config": {"model": to_tree(config)}}


def made_kys() -> Made:
    from egolib.vq2d.tracking.kys.network import KysNetwork

    config = vq2d.tiny_kys()
    return KysNetwork(config), {"model": "vq2d/kys", "config": {"model": to_tree(config)}}


def made_vod(name: str) -> Made:
    model, config = vod.make(name)
    return model, {"model": f"vod/{config.method}", "config": {"model": to_tree(config)}}


MADE = {
    "mq": made_mq,
    "nlq": made_nlq,
    "vlp": made_vlp,
    "vq2d/siamese": made_siamese,
    "vq2d/kys": made_kys,
    **{f"vod/{name}": (lambda name=name: made_vod(name)) for name in vod.BUILDERS},
}


@pytest.mark.parametrize("kind", MADE)
def test_export_and_back(tmp_path: Path, kind: str) -> None:
    model, sidecar = MADE[kind]()
    ours = {k: v.float() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    checkpoint.save(tmp_path / "a.safetensors", ours, sidecar)
    convert_file(tmp_path / "a.safetensors", tmp_path / "b.pth")
    convert_file(tmp_path / "b.pth", tmp_path / "c.safetensors")
    again, about = checkpoint.load(tmp_path / "c.safetensors")
    assert again.keys() == ours.keys()
    assert all(torch.equal(again[name], value) for name, value in ours.items())
    assert about["config"] == checkpoint.load(tmp_path / "a.safetensors")[1]["config"]
