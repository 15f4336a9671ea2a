"""The detector's loss on batches, and the AP that a training is monitored by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.video.images import save_image
from egolib.vq2d.config import LossConfig, OptimConfig
from egolib.vq2d.data.annotations import from_content, processed
from egolib.vq2d.data.dataset import TrainingBatch, TrainingSet, stored_sizes
from egolib.vq2d.data.images import image_name
from egolib.vq2d.data.samples import VARIANTS, build_samples
from egolib.vq2d.localization.validation import validation_ap
from egolib.vq2d.losses.training import TrainingLoss
from egolib.vq2d.models.model import SiameseRcnn
from egolib.vq2d.optim import make_optimizer
from tests.vq2d import made

LOSS = LossConfig(regions=16, proposals=made.TRAINING_PROPOSALS)
FROZEN = TrainingLoss(LOSS, "frozen")
TRAINED = TrainingLoss(LOSS, "trained")


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


def batch_of(data: TrainingSet, numbers: list[int]) -> TrainingBatch:
    return data.collate([data.sample(n, np.random.default_rng(n)) for n in numbers])


def test_losses_of_both_trunks(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    frozen = FROZEN(model(), batch)
    assert set(frozen) == {"comparison", "loss"}
    trained = TRAINED(model(), batch)
    assert set(trained) == {"comparison", "objectness", "rpn_box", "loss"}
    parts = sum(value for name, value in trained.items() if name != "loss")
    assert trained["loss"].item() == pytest.approx(parts.item())


def test_gradients_go_where_they_should(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    for loss, reached in ((FROZEN, False), (TRAINED, True)):
        net = model()
        make_optimizer(net, OptimConfig(trunk="trained" if reached else "frozen"))
        loss(net, batch)["loss"].backward()
        assert (net.backbone.stem.conv.weight.grad is not None) is reached
        assert all(p.grad is not None for p in net.head.parameters())


@pytest.mark.parametrize("head", [{}, {"compare": "dot"}, {"kind": "set", "transformer": "mab"}])
@pytest.mark.parametrize("loss", [FROZEN, TRAINED], ids=["frozen", "trained"])
def test_bf16_loses_as_much(data: TrainingSet, loss: TrainingLoss, head: dict) -> None:
    """Mixed precision: losses are float32 and within 2 %; every gradient is finite."""
    batch = batch_of(data, [0, 6])
    net = model(**head)
    exact = loss(net, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(net, batch)
    mixed["loss"].backward()
    assert all(value.dtype == torch.float32 for value in mixed.values())
    assert mixed["loss"].item() == pytest.approx(exact["loss"].item(), rel=0.02)
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_a_seed_fixes_the_regions(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])
    net, loss = model(), FROZEN
    assert loss(net, batch)["loss"].item() == loss(net, batch)["loss"].item()


@pytest.mark.parametrize(
    "head", [{"kind": "set"}, {"kind": "set", "transformer": "mab_global", "tokens": 8}]
)
@pytest.mark.parametrize("cross_batch", [True, False])
def test_set_heads_train(data: TrainingSet, head: dict, cross_batch: bool) -> None:
    loss = TrainingLoss(replace(LOSS, cross_batch_negatives=cross_batch), "frozen")
    losses = loss(model(**head), batch_of(data, [0, 6, 7]))
    assert ("frame" in losses) == (head.get("transformer") == "mab_global")
    assert torch.isfinite(losses["loss"])


def test_removed_objects_leave_background(data: TrainingSet) -> None:
    """Without any positive the loss only pushes scores down."""
    batch = batch_of(data, [0, 6])._replace(without_object=[True, True])
    loss = FROZEN
    net = model()
    boxes = [torch.tensor([[0.0, 0, 10, 10]])] * 2
    examples = list(loss._examples(boxes, batch.boxes, batch))
    assert all((example.classes == 1).all() for example in examples)
    assert torch.isfinite(loss(net, batch)["loss"])


def test_frames_without_object(data: TrainingSet) -> None:
    batch = batch_of(data, [0, 6])._replace(boxes=[torch.zeros(0, 4), torch.zeros(0, 4)])
    for loss in (FROZEN, TRAINED):
        assert torch.isfinite(loss(model(), batch)["loss"])


def test_it_learns_a_moving_square(data: TrainingSet) -> None:
    """A few updates from scratch: the loss falls and the square is found."""
    net = model()
    loss = TrainingLoss(replace(LOSS, cross_batch_negatives=False), "trained")
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
    assert validation_ap(net, data, made.tiny_detect())["AP50"] > 0.2


def test_validation_of_a_fresh_model(data: TrainingSet) -> None:
    found = validation_ap(model(), data, made.tiny_detect(), limit=3)
    assert set(found) == {"AP", "AP50"} and 0 <= found["AP"] <= found["AP50"] <= 1
