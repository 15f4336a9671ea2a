"""The tracker on a small network: equal paths, seeds, losing, both directions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.bidirectional import track_both_ways
from egolib.vq2d.tracking.kys.network import KysNetwork
from egolib.vq2d.tracking.kys.tracker import KysTracker, gaussian_label, hann_window
from tests.vq2d import made

CFG = TrackConfig(lost_threshold=-1.0, update_every=3, memory_size=20)
FRAMES = made.moving_square(12, (160, 120))
BOX = (14, 12, 30, 24)  # in frame 4


@pytest.fixture(scope="module")
def network() -> KysNetwork:
    torch.manual_seed(0)
    network = KysNetwork(made.tiny_kys())
    network.train()
    with torch.no_grad():  # norms with running statistics
        for _ in range(20):
            network.iou_net.features(*network.maps(torch.rand(4, 3, 96, 96) * 255))
    return network.eval()


def follow(network: KysNetwork, config: TrackConfig = CFG, seed: int = 0):
    tracker = KysTracker(network, config)
    return track_both_ways(tracker, FRAMES.__getitem__, 4, 10, BOX, seed)


def test_both_paths_are_equal(network: KysNetwork) -> None:
    fast, official = follow(network), follow(network, replace(CFG, path="official"))
    assert fast.rows[:, 0].tolist() == list(range(10))
    assert np.abs(fast.rows - official.rows).max() <= 1
    np.testing.assert_allclose(fast.responses, official.responses, atol=1e-3)


def test_group_norms_track_too() -> None:
    torch.manual_seed(0)
    followed = follow(KysNetwork(made.tiny_kys("group")))
    assert followed.rows[:, 0].tolist() == list(range(10))


def test_the_start_box_is_kept(network: KysNetwork) -> None:
    followed = follow(network)
    assert followed.rows[4].tolist() == [4, *BOX] and followed.responses[4] == 1.0


def test_seeds(network: KysNetwork) -> None:
    np.testing.assert_array_equal(follow(network).rows, follow(network).rows)
    assert (follow(network).rows != follow(network, seed=1).rows).any()


def test_global_random_numbers_do_not_matter(network: KysNetwork) -> None:
    torch.manual_seed(1)
    first = follow(network)
    torch.manual_seed(2)
    np.testing.assert_array_equal(first.rows, follow(network).rows)


def test_the_losing_frame_is_left_out(network: KysNetwork) -> None:
    followed = follow(network, replace(CFG, lost_threshold=2.0))
    assert followed.rows[:, 0].tolist() == [4]


def test_one_target_for_both_directions(network: KysNetwork) -> None:
    """``same_seed``: backwards as in the official order, forwards from the same start."""
    same, official = follow(network, replace(CFG, directions="same_seed")), follow(network)
    np.testing.assert_array_equal(same.rows[:5], official.rows[:5])
    assert (same.rows[5:] != official.rows[5:]).any()
    # forwards alone from that start gives the same boxes
    tracker = KysTracker(network, CFG)
    generator = torch.Generator().manual_seed(0)
    x1, y1, x2, y2 = BOX
    target = tracker.start(FRAMES[4], np.array([x1, y1, x2 - x1, y2 - y1]), generator)
    step = tracker.step(target, FRAMES[5])
    assert step.box_xywh[:2].astype(int).tolist() == same.rows[5, 1:3].tolist()


def test_at_the_end_nothing_is_started_again(network: KysNetwork) -> None:
    tracker = KysTracker(network, CFG)
    followed = track_both_ways(tracker, FRAMES.__getitem__, 4, 5, BOX, 0)
    assert followed.rows[-1, 0] == 4


def test_the_filter_is_fitted_again(network: KysNetwork) -> None:
    tracker = KysTracker(network, CFG)
    target = tracker.start(FRAMES[0], np.array([10, 12, 16, 12]), torch.Generator().manual_seed(0))
    filters = [target.weight]
    for frame in FRAMES[1:4]:
        tracker.step(target, frame)
        filters.append(target.weight)
    changed = [not torch.equal(a, b) for a, b in pairwise(filters)]
    assert changed == [False, False, True]  # frame number 4
    assert target.memory.count == 15 + 3


def test_window_and_label() -> None:
    window = hann_window(6)[0, 0]
    assert window.argmax() == 3 * 6 + 3 and window.max() == pytest.approx(1.0)
    label = gaussian_label(np.array([0.5, 0.5]), 6, 0.9)[0, 0]
    assert label.argmax() == 3 * 6 + 3 and label.max() == pytest.approx(1.0)
