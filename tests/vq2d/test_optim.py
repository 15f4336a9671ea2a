"""Training pieces of the Siamese R-CNN: groups, rates, losses, initial weights, learning."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.video.images import save_image
from egolib.vq2d.api import save
from egolib.vq2d.config import AugmentConfig, TrainConfig
from egolib.vq2d.data.annotations import from_content, processed
from egolib.vq2d.data.dataset import Batch, TrainingSet, stored_sizes
from egolib.vq2d.data.images import image_name
from egolib.vq2d.data.samples import VARIANTS, build_samples
from egolib.vq2d.formats import checkpoint
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.optim import (
    TrainingLoss,
    load_initial,
    make_optimizer,
    parameter_groups,
    schedule,
    validation_ap,
)
from tests.vq2d import made

FROZEN = TrainConfig(regions=16, warmup_updates=0)
TRAINED = replace(FROZEN, trunk="trained", trunk_rate=0.1, norm_decay=1e-4)


def model(**head) -> SiameseRcnn:
    torch.manual_seed(0)
    return SiameseRcnn(made.tiny_detector(**head))


@pytest.fixture
def data(tmp_path: Path) -> TrainingSet:
    for number, frame in enumerate(made.moving_square(30)):
        save_image(tmp_path / image_name("clip", number), frame)
    items = processed(from_content(made.two_queries()))
    samples = build_samples(items, VARIANTS["visual_query"], stored_sizes(tmp_path))
    return TrainingSet(samples, tmp_path, None, test_sides=(48, 96))


def batch_of(data: TrainingSet, numbers: list[int]) -> Batch:
    return data.collate([data.sample(n, np.random.default_rng(n)) for n in numbers])


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
    groups = parameter_groups(model(kind="set"), replace(TRAINED, norm_decay=0.0))
    decay = {group["name"]: group["weight_decay"] for group in groups}
    assert decay["heads"] == 1e-4 and decay["heads_norms"] == 0.0


def test_schedule() -> None:
    rate = schedule(TrainConfig(warmup_updates=1000, milestones=(2000, 3000)))
    assert rate(0) == pytest.approx(0.001) and rate(500) == pytest.approx(0.5005)
    assert [rate(t) for t in (1000, 1999, 2000, 3000)] == pytest.approx([1, 1, 0.1, 0.01])


# --------------------------------------------------------------------------- losses


def test_losses_of_both_trunks(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    frozen = TrainingLoss(FROZEN)(model(), batch)
    assert set(frozen) == {"comparison", "loss"}
    trained = TrainingLoss(TRAINED)(model(), batch)
    assert set(trained) == {"comparison", "objectness", "rpn_box", "loss"}
    parts = sum(value for name, value in trained.items() if name != "loss")
    assert trained["loss"].item() == pytest.approx(parts.item())


def test_gradients_go_where_they_should(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    for config, reached in ((FROZEN, False), (TRAINED, True)):
        net = model()
        make_optimizer(net, config)
        TrainingLoss(config)(net, batch)["loss"].backward()
        assert (net.backbone.stem.conv.weight.grad is not None) is reached
        assert all(p.grad is not None for p in net.head.parameters())


def test_a_seed_fixes_the_regions(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    net, loss = model(), TrainingLoss(FROZEN)
    assert loss(net, batch)["loss"].item() == loss(net, batch)["loss"].item()


@pytest.mark.parametrize(
    "head", [{"kind": "set"}, {"kind": "set", "transformer": "mab_global", "tokens": 8}]
)
@pytest.mark.parametrize("cross_batch", [True, False])
def test_set_heads_train(data: TrainingSet, head: dict, cross_batch: bool) -> None:
    config = replace(FROZEN, cross_batch_negatives=cross_batch)
    losses = TrainingLoss(config)(model(**head), batch_of(data, [0, 6, 7]))
    assert ("frame" in losses) == (head.get("transformer") == "mab_global")
    assert torch.isfinite(losses["loss"])


def test_removed_objects_leave_background(data: TrainingSet) -> None:
    """Without any positive the loss only pushes scores down."""
    batch = batch_of(data, [0, 6])._replace(without_object=[True, True])
    loss = TrainingLoss(FROZEN)
    net = model()
    boxes = [torch.tensor([[0.0, 0, 10, 10]])] * 2
    examples = list(loss._examples(boxes, batch.boxes, batch))
    assert all((example.classes == 1).all() for example in examples)
    assert torch.isfinite(loss(net, batch)["loss"])


def test_frames_without_object(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])._replace(boxes=[torch.zeros(0, 4), torch.zeros(0, 4)])
    for config in (FROZEN, TRAINED):
        assert torch.isfinite(TrainingLoss(config)(model(), batch)["loss"])


def test_it_learns_a_moving_square(data: TrainingSet) -> None:
    """A few updates from scratch: the loss falls and the square is found."""
    net = model()
    loss = TrainingLoss(replace(TRAINED, cross_batch_negatives=False))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    batch = batch_of(data, list(range(4)))
    history = []
    for _ in range(70):
        value = loss(net, batch)["loss"]
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        history.append(value.item())
    assert np.mean(history[-5:]) < 0.6 * np.mean(history[:5])
    assert validation_ap(net, data)["AP50"] > 20


def test_validation_of_a_fresh_model(data: TrainingSet) -> None:
    found = validation_ap(model(), data, limit=3)
    assert set(found) == {"AP", "AP50"} and 0 <= found["AP"] <= found["AP50"] <= 100


# ------------------------------------------------------------------- initial weights


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A file as detectron2's model zoo publishes it: arrays in a plain pickle."""
    source = SiameseRcnn(made.tiny_detector())
    state = checkpoint.siamese_table(source.config).to_official(source.state_dict())
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


def test_initial_weights_of_ours(tmp_path: Path) -> None:
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
    assert AugmentConfig().shortest_sides == (640, 672, 704, 736, 768, 800)
    assert TrainConfig.builders["cocoformer"]().augment.object_removed == 0.5
