"""Optimisation of the Siamese R-CNN: groups, rates, initial weights."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.vq2d.api import save
from egolib.vq2d.config import AugmentConfig, InitialConfig, OptimConfig
from egolib.vq2d.formats.key_tables import siamese_table
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.optim import (
    initial_file,
    load_initial,
    make_optimizer,
    parameter_groups,
    schedule,
)
from tests.vq2d import made

FROZEN = OptimConfig(warmup_updates=0)
TRAINED = replace(FROZEN, trunk="trained", backbone_lr_factor=0.1, norm_weight_decay=1e-4)


def model(**head) -> SiameseRcnn:
    torch.manual_seed(0)
    return SiameseRcnn(made.tiny_detector(**head))


# --------------------------------------------------------------------------- groups


def test_the_baseline_trains_heads_only() -> None:
    net = model()
    groups = parameter_groups(net, FROZEN)
    assert {group["name"] for group in groups} == {"heads"}
    assert not any(p.requires_grad for p in net.backbone.parameters())
    assert sum(len(group["params"]) for group in groups) == len(list(net.head.parameters()))


def test_the_improved_baseline_has_three_groups() -> None:
    groups = parameter_groups(model(), TRAINED)
    assert [group["name"] for group in groups] == ["backbone", "heads", "proposals"]
    assert [group["lr"] for group in groups] == pytest.approx([0.002, 0.02, 0.002])
    assert {group["weight_decay"] for group in groups} == {1e-4}


def test_norms_do_not_decay_in_the_baseline() -> None:
    groups = parameter_groups(model(kind="set"), replace(TRAINED, norm_weight_decay=0.0))
    decay = {group["name"]: group["weight_decay"] for group in groups}
    assert decay["heads"] == 1e-4 and decay["heads_norms"] == 0.0


def test_schedule() -> None:
    rate = schedule(OptimConfig(warmup_updates=1000, milestones=(2000, 3000)))
    assert rate(0) == pytest.approx(0.001) and rate(500) == pytest.approx(0.5005)
    assert [rate(t) for t in (1000, 1999, 2000, 3000)] == pytest.approx([1, 1, 0.1, 0.01])
    level = schedule(OptimConfig(schedule="constant", warmup_updates=0, milestones=(2,)))
    assert level(5) == 1.0


def test_every_number_of_the_optimiser_arrives() -> None:
    config = replace(TRAINED, optimizer="adamw", betas=(0.8, 0.9), epsilon=1e-6)
    defaults = make_optimizer(model(), config).defaults
    assert (defaults["betas"], defaults["eps"], defaults["lr"]) == ((0.8, 0.9), 1e-6, 0.02)
    assert make_optimizer(model(), replace(TRAINED, momentum=0.5)).defaults["momentum"] == 0.5


# ------------------------------------------------------------------- initial weights


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A file as detectron2's model zoo publishes it: arrays in a plain pickle."""
    source = SiameseRcnn(made.tiny_detector())
    state = siamese_table(source.config).to_official(source.state_dict())
    trunk = {k: v.numpy() for k, v in state.items() if not k.startswith("roi_heads.")}
    extra = {
        "roi_heads.box_head.fc1.weight": np.zeros((2, 2), np.float32),
        "roi_heads.mask_head.deconv.bias": np.zeros(2, np.float32),
        "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4), np.float32),
    }
    path = tmp_path / "model_final.pkl"
    content = {"model": trunk | extra, "__author__": "zoo", "matching_heuristics": False}
    path.write_bytes(pickle.dumps(content))
    return path


def test_initial_weights_with_report(coco: Path) -> None:
    net = model()
    head = {name: value.clone() for name, value in net.head.state_dict().items()}
    before = net.backbone.stem.conv.weight.clone()
    report = load_initial(net, coco)
    assert not torch.equal(before, net.backbone.stem.conv.weight)
    assert all(torch.equal(head[name], value) for name, value in net.head.state_dict().items())
    assert all(name.startswith("head.") for name in report.missing)  # starts fresh
    assert {name.split(".")[1] for name in report.unexpected} == {"box_head", "mask_head"}
    assert report.loaded + len(report.missing) == len(net.state_dict())


def test_initial_weights_from_an_egolib_checkpoint(tmp_path: Path) -> None:
    source = SiameseRcnn(made.tiny_detector())
    path = save(tmp_path / "model.safetensors", source)
    net = model()
    load_initial(net, path)
    assert torch.equal(net.backbone.stem.conv.weight, source.backbone.stem.conv.weight)


def test_initial_weights_of_another_trunk(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", SiameseRcnn(made.tiny_detector()))
    other = made.tiny_detector()
    other = replace(other, backbone=replace(other.backbone, width=16))
    with pytest.raises(EgolibError, match="another trunk"):
        load_initial(SiameseRcnn(other), path)


def test_augmentation_defaults_are_the_published_ones() -> None:
    assert AugmentConfig().short_sides == (640, 672, 704, 736, 768, 800)


def test_a_start_that_is_not_there_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(EgolibError, match="model_final_f10217.pkl"):
        initial_file(InitialConfig(), tmp_path)
    assert initial_file(InitialConfig(weights="none"), tmp_path) is None
