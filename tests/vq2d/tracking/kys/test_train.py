"""Our training recipe learns on a moving square."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.video.images import save_image
from egolib.vq2d.config import TrackerOptimConfig
from egolib.vq2d.data.annotations import from_content, processed
from egolib.vq2d.data.dataset import stored_sizes
from egolib.vq2d.data.images import image_name
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.train import (
    SequenceData,
    find_runs,
    from_detector,
    labels,
    make_optimizer,
    parameter_groups,
    schedule,
    sequence_losses,
)
from tests.vq2d import made

NET = made.tiny_kys("group")
CFG = TrackerOptimConfig(updates=400, sequence=3, boxes=6, filter_iterations=2, shift=0.5)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number, frame in enumerate(made.moving_square(12)):
        save_image(tmp_path / image_name("c", number), frame)
    return tmp_path


def items() -> list[dict]:
    track = [made.box(i, 10 + i, 12, 16, 12) for i in range(2, 8)]
    query = made.query(11, track)
    return processed(from_content(made.content(made.clip("c", [made.annotation("a", query)]))))


def data(images: Path) -> SequenceData:
    runs = find_runs(items(), stored_sizes(images), CFG.sequence)
    return SequenceData(runs, images, NET, CFG)


def test_runs_are_consecutive_and_stored(images: Path) -> None:
    assert len(find_runs(items(), stored_sizes(images), 3)) == 4
    (images / image_name("c", 4)).unlink()
    assert len(find_runs(items(), stored_sizes(images), 3)) == 1
    with pytest.raises(EgolibError, match="3 stored frames"):
        SequenceData([], images, NET, CFG)


def test_boxes_lie_on_the_target(images: Path) -> None:
    crops, boxes, jittered = data(images).sample(0, np.random.default_rng(0))
    assert crops.shape == (3, 3, 96, 96) and jittered.shape == (3, 6, 4)
    for crop, (x, y, width, height) in zip(crops.float(), boxes, strict=True):
        inside = crop[:, int(y) + 2 : int(y + height) - 1, int(x) + 2 : int(x + width) - 1]
        assert inside.std() > 30 > crop[:, :8, :8].std()  # the square's texture, the background


def test_the_losses_fall(images: Path) -> None:
    torch.manual_seed(0)
    network = from_detector(KysNetwork(NET).backbone, NET)
    network.train()
    examples = data(images)
    batch = examples.collate([examples.sample(i, np.random.default_rng(i)) for i in range(3)])
    optimizer = make_optimizer(network, replace(CFG, learning_rate=3e-3))
    before = network.backbone.stem.conv.weight.clone()
    history = []
    for _ in range(25):
        losses = sequence_losses(network, batch, CFG)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    for name in ("classifier", "iou", "predictor"):
        assert history[-1][name] < 0.8 * history[0][name], name
    assert torch.equal(before, network.backbone.stem.conv.weight)


def test_everything_but_the_backbone_is_trained() -> None:
    network = from_detector(KysNetwork(NET).backbone, NET)
    (group,) = parameter_groups(network, CFG)
    trained = {id(p) for p in group["params"]}
    assert not trained & {id(p) for p in network.backbone.parameters()}
    assert {id(p) for p in network.iou_net.parameters()} <= trained
    assert [schedule(CFG)(t) for t in (0, 279, 280)] == [1.0, 1.0, 0.1]


def test_another_backbone_is_refused() -> None:
    other = replace(NET, backbone=replace(NET.backbone, width=16))
    with pytest.raises(EgolibError, match="belongs to the detector"):
        from_detector(KysNetwork(NET).backbone, other)


def test_labels_peak_on_the_target() -> None:
    label = labels(torch.tensor([[24.0, 40, 16, 16]]), 6, 16, 0.9)[0, 0]
    assert label.argmax() == 3 * 6 + 2 and label.max() == pytest.approx(1)
