"""Every kind of network that a training can make is exported and read back, whatever its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from egolib.cli.conversion import convert_file
from egolib.config import to_tree
from egolib.io import checkpoint
from egolib.mq.config import ModelConfig
from egolib.nlq.config.span import VslnetConfig
from tests.mq import small as mq
from tests.nlq import small as nlq
from tests.nlq.vslnet import small as spans
from tests.vlp import small as vlp
from tests.vod import small as vod
from tests.vq2d import made as vq2d

Made = tuple[nn.Module, dict[str, Any]]


def made_nlq(**changes: Any) -> Made:
    config = replace(nlq.SMALL, **changes)
    about = {"model": "nlq/trained", "config": {"model": to_tree(config)}}
    return nlq.network(config), about


def made_spans(config: VslnetConfig) -> Made:
    from egolib.nlq.config import ModelConfig
    from egolib.nlq.config.data import DataConfig
    from egolib.nlq.config.run import InferConfig
    from egolib.nlq.formats.checkpoint import describe

    return spans.network(config), describe(ModelConfig(span=config), DataConfig(), InferConfig())


def made_mq(config: ModelConfig) -> Made:
    from egolib.mq.api import describe
    from egolib.mq.config import GridConfig
    from egolib.mq.models.build import build

    return build(config, 0), describe(config, ["Background", *mq.LABELS], 2.0, GridConfig())


def made_vlp(**changes: Any) -> Made:
    model = vlp.small_model(**changes)
    return model, {"model": "vlp", "config": to_tree(model.config)}


def made_siamese(**head: Any) -> Made:
    from egolib.vq2d.models.model import SiameseRcnn

    config = vq2d.tiny_detector(**head)
    return SiameseRcnn(config), {"model": "vq2d/siamese_rcnn", "config": {"model": to_tree(config)}}


def made_kys() -> Made:
    from egolib.vq2d.tracking.kys.network import KysNetwork

    config = vq2d.tiny_kys()
    return KysNetwork(config), {"model": "vq2d/kys", "config": {"model": to_tree(config)}}


def made_vod(name: str) -> Made:
    model, config = vod.make(name)
    return model, {"model": f"vod/{config.method}", "config": {"model": to_tree(config)}}


MADE = {
    "mq/vsgn": lambda: made_mq(mq.SMALL),
    "mq/vsgn_plain": lambda: made_mq(replace(mq.SMALL, graph=False)),
    "mq/actionformer": lambda: made_mq(mq.POINTS),
    "nlq": made_nlq,
    "nlq/star": lambda: made_nlq(cross_branch_blocks=2, plain_branch_blocks=2),
    "nlq/vslnet": lambda: made_spans(spans.FULL),
    "nlq/vslnet_small": lambda: made_spans(spans.SMALL),
    "vlp/small": made_vlp,
    "vlp/large": lambda: made_vlp(projection="large"),
    "vq2d/siamese": made_siamese,
    "vq2d/set": lambda: made_siamese(kind="set"),
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
