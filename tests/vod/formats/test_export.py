"""Every kind of trained network is exported by ``egolib convert`` and read back, equal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from egolib import vod
from egolib.cli.conversion import convert_file
from egolib.vod.api import save
from egolib.vod.config.data import DataConfig
from tests.vod.small import BUILDERS, CLASSES, frames, make

NAMES = tuple((f"class{i}", f"n{i:08d}") for i in range(CLASSES))


@pytest.mark.parametrize("name", BUILDERS)
def test_there_and_back(name: str, tmp_path: Path):
    model, config = make(name)
    path = save(tmp_path / "ours.safetensors", model, config, DataConfig(classes=NAMES))
    report = convert_file(path, tmp_path / "official.pth")
    assert report["model"] == f"vod/{config.method}" and report["entries"] >= len(
        model.state_dict()
    )
    back = convert_file(tmp_path / "official.pth", tmp_path / "back.safetensors")
    assert back["entries"] == len(model.state_dict())
    loaded = vod.load(tmp_path / "back.safetensors", device="cpu")
    assert loaded.config == config and loaded.class_names[0] == "class0"
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    with torch.no_grad():
        images = frames(1).images
        ours, theirs = (m.detector.backbone(images)[-1] for m in (model, loaded.model))
    assert torch.equal(ours, theirs)
