"""Tracking with recorded seeds, frame by frame and both ways."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.bidirectional import track_both_ways
from egolib.vq2d.tracking.kys.tracker import KysTracker, Target
from tests.parity.recordings import auxiliary, read
from tests.parity.vq2d.networks import kys_network, relative, statistics

pytestmark = pytest.mark.xdist_group("kys")

LOST_THRESHOLD = 0.10


def make_tracker(recording: Path, seed: int, device: str) -> KysTracker:
    network = kys_network(recording, seed, device)
    return KysTracker(network, TrackConfig(lost_threshold=LOST_THRESHOLD))


def check_start(target: Target, case: dict) -> None:
    count = int(case["num_init"])
    assert target.memory.count == count
    np.testing.assert_allclose(target.position, case["pos0"])
    np.testing.assert_allclose(target.size, case["target_sz0"])
    np.testing.assert_allclose(target.base_size, case["base_target_sz"], rtol=1e-6)
    assert target.scale == pytest.approx(float(case["target_scale0"]), rel=1e-6)
    boxes = target.memory.boxes_xywh[:count].cpu()
    np.testing.assert_allclose(boxes, case["init_target_boxes"], atol=1e-3)
    assert relative(target.weight[:, ::8], case["target_filter0_sub"]) < 1e-3
    np.testing.assert_allclose(
        statistics(target.weight)[1:], case["target_filter0_stats"][1:], rtol=1e-3
    )
    np.testing.assert_allclose(target.memory.weights[:count].cpu(), 1 / count, rtol=1e-6)
    assert relative(target.motion.label, case["prev_label0"]) < 1e-4
    np.testing.assert_allclose(target.motion.box_xywh.cpu(), case["bb_patch0"], atol=1e-3)


@pytest.mark.recordings("kys_track")
def test_track(recording: Path, device: str) -> None:
    """Boxes to 0.05 px in frame 1, three times as much per further frame, at most 5 px."""
    case = read(recording)
    tracker = make_tracker(recording, int(case["seed"]), device)
    assert relative(tracker.window[0], case["output_window_sub"]) < 1e-4
    generator = torch.Generator().manual_seed(int(case["torch_seed"]))
    target = tracker.start(case["frame_0"], case["init_box_xywh"], generator)
    check_start(target, case)
    frames = sorted(name for name in case if name.startswith("frame_"))
    for number in range(1, len(frames)):
        step = tracker.step(target, case[f"frame_{number}"])
        recorded = {n.split("_", 1)[1]: v for n, v in case.items() if n.startswith(f"f{number}_")}
        tolerance = min(0.05 * 3 ** (number - 1), 5.0)
        assert step.found == (str(recorded["flag"]) != "not_found")
        np.testing.assert_allclose(step.box_xywh, recorded["bbox_float"], atol=tolerance)
        whole = step.box_xywh.astype(int)
        assert np.abs(whole - recorded["state_int"]).max() <= max(1, np.ceil(tolerance))
        assert target.scale == pytest.approx(float(recorded["scale"]), rel=1e-3 * 3 ** (number - 1))
        if number == 1:
            assert relative(step.scores, recorded["dimp"]) < 1e-3
            assert relative(step.fused, recorded["fused"]) < 1e-3
        assert target.memory.count == int(recorded["num_stored"])
        weights = target.memory.weights.cpu()
        np.testing.assert_allclose(weights, recorded["sample_weights"], atol=1e-6)
        np.testing.assert_allclose(
            statistics(target.weight)[1:], recorded["filter_stats"][1:], rtol=1e-3
        )
    # The array recorded under this name shows the weights as they are after the last frame.
    np.testing.assert_allclose(weights, case["sample_weights0"], atol=1e-6)


@pytest.mark.recordings("kys_bidirectional")
def test_both_ways(recording: Path, device: str) -> None:
    case = read(recording)
    name = recording.name.replace("kys_bidirectional", "kys_track").replace(".json", ".npz")
    track = read(auxiliary(recording, name))
    tracker = make_tracker(recording, int(track["seed"]), device)
    size = tuple(case["oshape"])
    followed = track_both_ways(
        tracker,
        lambda number: cv2.resize(track[f"frame_{number}"], size),
        case["start_frame"],
        case["end_frame"],
        case["init_box_xyxy"],
        case["torch_seed"],
    )
    names = ("fno", "x1", "y1", "x2", "y2")
    expected = np.array([[box[name] for name in names] for box in case["track"]])
    assert followed.rows[:, 0].tolist() == expected[:, 0].tolist()
    distance = np.abs(expected[:, :1] - case["start_frame"])
    tolerance = np.minimum(np.ceil(0.05 * 3.0 ** (distance - 1)), 5) + 1  # integers differ by 1
    assert (np.abs(followed.rows - expected)[:, 1:] <= tolerance).all()
