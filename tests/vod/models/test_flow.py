"""Flow network and warping, DFF's key frames, FGFA's average."""

from __future__ import annotations

import torch

from egolib.vod.models.flow import FlowNetS, warp
from tests.vod.small import SIZE, begin, counted, frames, make, settings


def test_aligned_warp_without_flow_changes_nothing():
    features, still = torch.randn(2, 3, 8, 12), torch.zeros(2, 2, 64, 96)
    torch.testing.assert_close(warp(features, still, "aligned"), features)
    assert not torch.allclose(warp(features, still, "official"), features)


def test_warp_fetches_along_the_flow():
    features = torch.arange(12.0).expand(1, 1, 8, 12)
    flow = torch.zeros(1, 2, 64, 96)
    flow[:, 0] = 16  # two cells to the right
    moved = warp(features, flow, "aligned")
    torch.testing.assert_close(moved[0, 0, :, :10], features[0, 0, :, 2:])
    assert (moved[0, 0, :, 10:] == 11).all()  # the border is repeated


def test_prepared_images_are_zero_outside_and_half_as_large():
    model, _ = make("dff")
    frame = frames(1)
    prepared = model.motion.prepare(frame.images, [(32, 48)])
    assert prepared.shape == (1, 3, SIZE[0] // 2, SIZE[1] // 2)
    assert prepared[..., 17:, :].eq(0).all() and prepared[..., :15, :23].abs().min() > 0


def test_flow_has_the_size_of_the_images():
    model, _ = make("dff")
    assert isinstance(model.motion, FlowNetS)
    image = model.motion.prepare(frames(1).images, [SIZE])
    assert model.motion(image, image).shape == (1, 2, *SIZE)


def test_only_key_frames_pass_the_backbone():
    model, config = make("dff")
    seen, state, video = counted(model), begin(model), frames(12)
    for i in range(12):
        model.step(video[i : i + 1], state)
    assert settings(config).key_interval == 10 and sum(seen) == 2


def test_average_of_equal_maps_is_the_map():
    model, _ = make("fgfa")
    x = torch.randn(1, 16, 4, 6)
    with torch.no_grad():
        torch.testing.assert_close(model.average(x, x.expand(5, -1, -1, -1)), x)


def test_the_window_computes_every_frame_once():
    model, _ = make("fgfa")
    video = frames(6)
    first = type(video)(video.images[[0, 0, 1]], video.sizes[:3], video.scales[:3], [0, 0, 1])
    seen, state = counted(model), begin(model, first)
    for i in range(5):
        model.step(video[i : i + 1], state, video[i + 1 : i + 2] if i else None)
    assert sum(seen) == 2 + 4
