"""The tracker on a small network: equal paths, seeds, losing, both directions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmarks.gpu_common import Setting, launches_and_synchronisations
from egolib.vq2d.config import TrackConfig
from egolib.vq2d.tracking.kys.bidirectional import Following, track_both_ways, track_many
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


def together(network: KysNetwork, config: TrackConfig) -> tuple[list, list]:
    """Four targets alone and in lock step; some start and end elsewhere."""
    places = [(4, 10, BOX, 0), (4, 12, (10, 20, 40, 50), 1), (0, 5, BOX, 2), (7, 8, BOX, 3)]
    todo = [
        Following(FRAMES.__getitem__, *place, read_ahead=number % 2 == 0)
        for number, place in enumerate(places)
    ]
    tracker = KysTracker(network, config)
    alone = [track_both_ways(tracker, FRAMES.__getitem__, *place) for place in places]
    return alone, track_many(tracker, todo)


@pytest.mark.parametrize("directions", ["official", "same_seed"])
def test_many_targets_in_lock_step(network: KysNetwork, directions: str) -> None:
    """Boxes equal those of targets that are followed alone, to a thousandth of a pixel."""
    boxes: dict[int, list] = {}
    step_all = KysTracker.step_all

    def kept(self, targets, frames):
        steps = step_all(self, targets, frames)
        for target, step in zip(targets, steps, strict=True):
            boxes.setdefault(target.generator.initial_seed(), []).append(step.box_xywh)
        return steps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KysTracker, "step_all", kept)
        alone, many = together(network, replace(CFG, directions=directions))
    for one, other in zip(alone, many, strict=True):
        np.testing.assert_allclose(one.rows, other.rows, atol=1)  # truncated to integers
        np.testing.assert_allclose(one.responses, other.responses, atol=1e-5)
    if directions == "official":  # a seed has its boxes alone first, then in lock step
        for seen in boxes.values():
            half = len(seen) // 2
            np.testing.assert_allclose(seen[:half], seen[half:], atol=1e-3)


def test_lanes_that_lose_their_target_leave_the_others_alone(network: KysNetwork) -> None:
    """A threshold between the responses: tracks end at different frames."""
    alone, _ = together(network, CFG)
    threshold = float(np.median(np.concatenate([x.responses[x.responses < 1] for x in alone])))
    alone, many = together(network, replace(CFG, lost_threshold=threshold))
    assert len({len(x.rows) for x in alone}) > 1
    for one, other in zip(alone, many, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_whole_maps_and_parts_ascend_alike(network: KysNetwork) -> None:
    """What a GPU computes, all targets at once, against the parts around the boxes."""
    tracker = KysTracker(network, CFG)
    torch.manual_seed(0)
    net = tracker.network.iou_net
    shallow, deep = tracker.network.maps(torch.rand(3, 3, 96, 96) * 255)
    start = torch.tensor([[30.0, 30, 30, 20], [10, 40, 25, 45], [50, 20, 30, 30]])
    vectors = net.modulation(shallow, deep, start)
    boxes = start[:, None] + torch.rand(3, 10, 4) * 4
    with torch.no_grad():
        near = tracker.ascend(shallow, deep, *vectors, boxes)
        whole = tracker.ascend.on_whole_maps(shallow, deep, *vectors, boxes)
    torch.testing.assert_close(near, whole, atol=1e-3, rtol=1e-4)


def test_the_network_never_asks_the_host(network: KysNetwork) -> None:
    """So the two large parts of a step can be captured as CUDA graphs."""
    tracker, box = KysTracker(network, CFG), np.array([14, 12, 16, 12])
    targets = [
        tracker.start(FRAMES[0], box, torch.Generator().manual_seed(seed)) for seed in range(3)
    ]
    inputs = tracker.inputs(targets, tracker.crops(targets, [FRAMES[1]] * 3))
    shallow, deep, *_ = tracker.look(*inputs)
    vectors = [torch.cat([target.modulation[i] for target in targets]) for i in range(2)]
    boxes = torch.tensor([30.0, 30, 20, 20]).repeat(3, 10, 1)
    for work in (
        lambda: tracker.look(*inputs),
        lambda: tracker.ascend.on_whole_maps(shallow, deep, *vectors, boxes),
    ):
        with torch.no_grad():
            counts = launches_and_synchronisations(work, Setting("cpu", tiny=True))
        assert counts.synchronisations == 0, counts.kinds


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
