"""Checkpoints: recognised, converted both ways; heads told from their entries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from egolib.config import to_tree
from egolib.errors import EgolibError
from egolib.io import checkpoint
from egolib.vq2d.config import DetectorConfig, siam_rcnn
from egolib.vq2d.formats import architecture
from egolib.vq2d.formats import checkpoint as convert
from egolib.vq2d.formats.key_tables import siamese_table
from egolib.vq2d.models.model import SiameseRcnn
from tests.vq2d import made


def model_of(name: str):
    return next(model for model in convert.MODELS if model.name == name)


@pytest.mark.parametrize("kind", ["siamese", "set"])
def test_a_detector_both_ways(kind: str) -> None:
    config = made.tiny_detector(kind=kind)
    model, table = SiameseRcnn(config), siamese_table(config)
    official = table.to_official(model.state_dict())
    assert all(
        key.startswith(("backbone.", "proposal_generator.", "roi_heads.")) for key in official
    )
    twin = SiameseRcnn(config)
    assert table.load(twin, official).complete
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=False)
    )


def test_a_missing_entry_is_an_error() -> None:
    config = made.tiny_detector()
    table = siamese_table(config)
    official = table.to_official(SiameseRcnn(config).state_dict())
    official.pop("roi_heads.siam_head.compare.bias")
    with pytest.raises(EgolibError, match="1 missing"):
        table.load(SiameseRcnn(config), official)


def test_no_head_at_all() -> None:
    with pytest.raises(EgolibError, match="no comparison head"):
        architecture.infer_head({"backbone.x": torch.zeros(1)})


def test_a_head_that_fits_twice_can_be_named() -> None:
    config = made.tiny_detector(kind="set", compare="2head", hidden=16)
    state = siamese_table(config).to_official(SiameseRcnn(config).state_dict())
    with pytest.raises(EgolibError, match="2head/mab or att/mab_global"):
        architecture.infer_head(state)
    found = architecture.infer_head(state, choice="2head/mab")
    assert (found.compare, found.transformer, found.hidden) == ("2head", "mab", 16)


def test_egolib_convert_knows_both_networks(tmp_path: Path) -> None:
    kys = {"dimp_classifier.filter_optimizer.log_step_length": torch.zeros(1)}
    assert model_of("vq2d/kys").matches(kys)
    assert not model_of("vq2d/siamese_rcnn").matches(kys)
    with torch.device("meta"):
        network = SiameseRcnn(DetectorConfig(), weights="empty")
    official = siamese_table(siam_rcnn()).to_official(network.state_dict())
    assert len(official) == 301 and model_of("vq2d/siamese_rcnn").matches(official)
    ours, config = model_of("vq2d/siamese_rcnn").to_ours(official)
    assert config["model"] == to_tree(siam_rcnn())
    assert checkpoint.compare(ours, network.state_dict()).complete
    assert model_of("vq2d/siamese_rcnn").to_official(ours, config).keys() == official.keys()
