"""The Siamese R-CNN with recorded weights: every stage of a frame, then step 1 on a clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from egolib.nn.config import ProposalConfig
from egolib.vq2d.config import DetectConfig, DetectorConfig
from egolib.vq2d.data.annotations import Query
from egolib.vq2d.formats.architecture import infer_detector
from egolib.vq2d.formats.key_tables import siamese_table
from egolib.vq2d.localization.detect import Detector, detect_clip
from egolib.vq2d.models.inputs import network_image, scaled_down
from egolib.vq2d.models.model import FrameBatch, SiameseRcnn
from tests.parity.recordings import read
from tests.parity.vq2d.networks import (
    check_map,
    detector_state,
    relative,
    siamese_rcnn,
    statistics,
)

pytestmark = pytest.mark.xdist_group("siamese")


class Forward:
    """A recorded frame and crop, and the network that sees them."""

    def __init__(self, recording: Path, device: str):
        self.case = read(recording)
        self.model = siamese_rcnn(recording, int(self.case["seed"]), DetectorConfig(), device)
        self.frame = self.image("frame_bgr", device)
        self.reference = self.image("reference_bgr", device)

    def image(self, name: str, device: str) -> torch.Tensor:
        return torch.from_numpy(self.case[name]).permute(2, 0, 1).to(device)

    @property
    def batch(self) -> FrameBatch:
        return self.model.batch([self.frame])


@pytest.fixture
def forward(recording: Path, device: str) -> Forward:
    return Forward(recording, device)


@pytest.mark.recordings("siamrcnn_forward")
def test_keys_both_ways(recording: Path) -> None:
    """The official layout loads strictly, with its constants, and comes back unchanged."""
    config = DetectorConfig()
    state = detector_state(recording, 1)
    constants = {
        "pixel_mean": torch.zeros(3, 1, 1),
        "pixel_std": torch.ones(3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
    }
    table, model = siamese_table(config), SiameseRcnn(config, weights="empty")
    assert table.load(model, state | constants).loaded == 301
    back = table.to_official(model.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert infer_detector(state) == config


@pytest.mark.recordings("siamrcnn_forward")
@torch.no_grad()
def test_trunk(recording: Path, forward: Forward) -> None:
    """Padding, stem, pyramid, dense predictions, anchors."""
    case, model, batch = forward.case, forward.model, forward.batch
    assert list(batch.images.shape) == case["padded_shape"].tolist()
    stem = model.backbone.stem(batch.images)
    assert relative(stem[0, ::8, ::8, ::8], case["stem_sub"]) < 1e-4
    maps = model.maps(batch.images)
    for i, level in enumerate(maps):
        check_map(level[0], case, f"feat_p{i + 2}", (16, 4, 4))
    predicted = model.proposals(maps)
    for i, (logits, offsets) in enumerate(zip(*predicted, strict=True)):
        check_map(logits[0], case, f"rpn_logits_{i}", (4, 4))
        check_map(offsets[0], case, f"rpn_deltas_{i}", (4, 4))
    sizes = [(level.shape[-2], level.shape[-1]) for level in maps]
    for i, anchors in enumerate(model.proposals.anchors(sizes, maps[0].device)):
        assert len(anchors) == case[f"anchors_{i}_count"]
        np.testing.assert_allclose(anchors[:6].cpu(), case[f"anchors_{i}_first"], atol=1e-4)
        np.testing.assert_allclose(anchors[-3:].cpu(), case[f"anchors_{i}_last"], atol=1e-4)


@pytest.mark.recordings("siamrcnn_forward")
@torch.no_grad()
def test_proposals(recording: Path, forward: Forward) -> None:
    """Proposals in order of their logits; those of nearly equal logit may swap."""
    case, model, batch = forward.case, forward.model, forward.batch
    (found,) = model.propose(model.maps(batch.images), batch.sizes, DetectConfig().proposals)
    assert len(found.boxes) == case["proposal_count"]
    logits = case["proposal_logits_head"]
    np.testing.assert_allclose(found.scores[: len(logits)].cpu(), logits, atol=1e-4)
    expected = case["proposal_boxes_head"]
    distance = np.abs(found.boxes.cpu().numpy()[None] - expected[:, None]).max(-1)  # (300, 1000)
    nearest = distance.argmin(1)
    assert distance.min(1).max() < 1e-2
    swapped = np.flatnonzero(nearest != np.arange(len(expected)))
    scores = found.scores.cpu().numpy()
    assert np.abs(scores[nearest[swapped]] - scores[swapped]).max(initial=0) < 1e-4


@pytest.mark.recordings("siamrcnn_forward")
@torch.no_grad()
def test_comparison(recording: Path, forward: Forward) -> None:
    """Pooled regions, projections, similarity of fixed boxes."""
    case, model, batch = forward.case, forward.model, forward.batch
    maps = model.maps(batch.images)
    pooled = model.pooled(maps, [torch.from_numpy(case["fixed_boxes"]).to(maps[0].device)])
    assert relative(pooled[:, ::32, ::5, ::5], case["pooled_sub"]) < 1e-4
    np.testing.assert_allclose(statistics(pooled)[1:], case["pooled_stats"][1:], rtol=1e-4)
    level = model.maps(model.batch([forward.reference]).images)[model.config.level]
    check_map(level[0], case, "ref_p3", (16, 4, 4))
    reference = model.pool_reference(level)
    assert relative(reference[:, ::16, ::5, ::5], case["refpooled_sub"]) < 1e-4
    vectors = model.head.projectors.region(pooled)
    encoded = model.encode(forward.reference[None])
    assert relative(vectors[:, ::32], case["proj_boxes_sub"]) < 1e-4
    assert relative(encoded[:, ::16], case["proj_ref_sub"]) < 1e-4
    logits = model.head.compare(vectors[None], encoded).regions[0]
    assert relative(logits, case["fixed_similarity_logits"]) < 1e-4


@pytest.mark.recordings("siamrcnn_forward")
@pytest.mark.slow
def test_detections(recording: Path, forward: Forward) -> None:
    """The whole frame: the same ten boxes to 0.01 px, scores to 1e-4."""
    case, model, batch = forward.case, forward.model, forward.batch
    with torch.no_grad():
        (regions,) = model.regions(batch, DetectConfig().proposals)
        encoded = model.encode(forward.reference[None])
    size = batch.sizes[0]
    ((boxes, scores),) = model.detect(regions, encoded, size, size, DetectConfig())
    check_detections(
        boxes.cpu().numpy(), scores.cpu().numpy(), case["det_boxes"], case["det_scores"]
    )
    assert not case["det_classes"].any()


def check_detections(boxes, scores, expected_boxes, expected_scores, pixels: float = 1e-2) -> None:
    """The same set of boxes; those of equal score may stand in another order."""
    assert len(boxes) == len(expected_boxes)
    np.testing.assert_allclose(np.sort(scores), np.sort(expected_scores), atol=1e-4)
    distance = np.abs(boxes[None].astype(float) - expected_boxes[:, None]).max(-1)
    nearest = distance.argmin(1)
    assert distance.min(1).max(initial=0) <= pixels
    assert sorted(nearest) == list(range(len(boxes)))
    np.testing.assert_allclose(scores[nearest], expected_scores, atol=1e-4)


# ------------------------------------------------------------------------- step 1


class Clip:
    """Recorded frames as a video reader gives them."""

    def __init__(self, case: dict):
        names = [name for name in case if name.startswith("frame_") and name.endswith("_rgb")]
        self.images = [case[f"frame_{i}_rgb"] for i in range(len(names))]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.images[frame]

    def batch(self, frames: list[int]) -> list[np.ndarray]:
        return [self.images[frame] for frame in frames]


def step1_settings(recorded: dict) -> DetectConfig:
    limits = recorded["PRE_NMS_TOPK_TEST"], recorded["POST_NMS_TOPK_TEST"]
    return DetectConfig(
        proposals=ProposalConfig(*limits, 0.7, "logit"),
        short_side=recorded["MIN_SIZE_TEST"],
        long_side=recorded["MAX_SIZE_TEST"],
        intermediate_height=recorded["downscale_height"],
        batch_size=recorded["batch_size"],
    )


@pytest.mark.recordings("siamrcnn_step1")
def test_step1(recording: Path, device: str) -> None:
    """Official step 1: integer boxes in annotated pixels (+-1 at most), scores."""
    case = read(recording)
    config, crop = json.loads(str(case["config"])), json.loads(str(case["visual_crop"]))
    model = siamese_rcnn(recording, config["seed"], DetectorConfig(), device)
    clip = Clip(case)
    record = {"query_frame": config["query_frame"], "visual_crop": crop}
    query = Query({}, {"clip_uid": "clip"}, "annotation", "1", record)
    detector = Detector(model, step1_settings(config))
    found = detect_clip(clip, [query], detector)[query.key]
    assert len(found) == config["query_frame"]
    for number in range(len(found)):
        boxes, scores = found.frame(number)
        expected = case[f"boxes_{number}"]
        assert (expected[:, 0] == number).all()
        # truncation turns 1e-2 px into at most one pixel
        check_detections(boxes, scores, expected[:, 1:], case[f"scores_{number}"], pixels=1)


@pytest.mark.recordings("siamrcnn_step1")
def test_step1_images(recording: Path) -> None:
    """The scaled-down frame and the network's image are equal bytes."""
    case = read(recording)
    settings = step1_settings(json.loads(str(case["config"])))
    small, _ = scaled_down(case["frame_0_rgb"], settings.intermediate_height)
    np.testing.assert_array_equal(small, case["frame0_downscaled"])
    image = network_image(small, settings.short_side, settings.long_side).permute(1, 2, 0)
    np.testing.assert_array_equal(image, case["frame0_network_input"])
