"""The Siamese R-CNN on a small configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from egolib.vq2d.config import DetectorConfig, siam_rcnn, small
from egolib.vq2d.models.model import Regions, SiameseRcnn, select
from tests.vq2d import made

DETECT = made.tiny_detect()


@pytest.fixture(scope="module")
def model() -> SiameseRcnn:
    torch.manual_seed(0)
    return SiameseRcnn(made.tiny_detector()).eval()


def test_frames_of_unequal_size_share_a_batch(model: SiameseRcnn) -> None:
    frames = [torch.full((3, 40, 50), 100), torch.full((3, 33, 70), 100)]
    batch = model.batch(frames)
    assert batch.images.shape == (2, 3, 64, 96) and batch.sizes == [(40, 50), (33, 70)]
    assert not batch.images[0, :, 40:].any() and not batch.images[0, :, :, 50:].any()


@torch.no_grad()
def test_a_frame_does_not_depend_on_its_batch(model: SiameseRcnn) -> None:
    torch.manual_seed(0)
    frames = [torch.randint(0, 255, (3, 48, 64)) for _ in range(3)]
    together = model.regions(model.batch(frames), DETECT.proposals)
    alone = model.regions(model.batch(frames[1:2]), DETECT.proposals)[0]
    torch.testing.assert_close(together[1].boxes, alone.boxes, atol=1e-3, rtol=0)
    torch.testing.assert_close(together[1].vectors, alone.vectors, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_detections_are_few_sorted_and_inside(model: SiameseRcnn) -> None:
    torch.manual_seed(0)
    batch = model.batch([torch.randint(0, 255, (3, 48, 64))])
    (regions,) = model.regions(batch, DETECT.proposals)
    references = model.encode(torch.randint(0, 255, (2, 3, 32, 32)))
    found = model.detect(regions, references, (48, 64), (96, 128), DETECT)
    assert len(found) == 2
    for boxes, scores in found:
        assert 0 < len(boxes) <= DETECT.limit
        assert (scores.diff() <= 0).all()
        assert (boxes >= 0).all() and boxes[:, 2].max() <= 128 and boxes[:, 3].max() <= 96


def test_no_proposals_no_detections(model: SiameseRcnn) -> None:
    nothing = Regions(torch.zeros(0, 4), torch.zeros(0, 0))
    ((boxes, scores),) = model.detect(nothing, torch.zeros(1, 16), (48, 64), (48, 64), DETECT)
    assert boxes.shape == (0, 4) and scores.shape == (0,)


def test_selection_rules() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [5, 5, 5, 9], [40, 0, 90, 10]]
    )
    scores = torch.tensor([0.9, 0.8, 0.0, 0.7, float("nan")])
    found, kept = select(boxes, scores, (48, 64), (48, 64), DETECT)
    assert found.tolist() == [[0, 0, 10, 10]] and kept.tolist() == pytest.approx([0.9])


@pytest.mark.parametrize(("builder", "millions"), [(siam_rcnn, 34.6), (small, 2.5)])
def test_sizes_of_the_builders(builder, millions: float) -> None:
    with torch.device("meta"):
        model = SiameseRcnn(builder(), weights="empty")
    count = sum(value.numel() for value in model.state_dict().values()) / 1e6
    assert count == pytest.approx(millions, rel=0.02)


def test_frozen_norms_are_buffers() -> None:
    with torch.device("meta"):
        model = SiameseRcnn(replace(DetectorConfig()), weights="empty")
    names = {name for name, _ in model.named_parameters()}
    assert "backbone.stem.conv.weight" in names and "backbone.stem.norm.weight" not in names
