"""The C4 head: the last stage on the whole map, reduced channels."""

from __future__ import annotations

from dataclasses import replace

import torch

from tests.vod.small import frames, make, settings


def test_the_last_stage_runs_on_the_whole_map_at_the_same_resolution():
    model, _ = make("c4")
    detector = model.detector
    c4 = detector.maps(frames(1).images)[0]
    assert c4.shape == (1, 128, 4, 6)
    assert detector.head.whole_map(c4).shape == (1, 256, 4, 6)
    pooled = detector.head.pool([c4], [torch.tensor([[0.0, 0, 40, 40]])])
    assert pooled.shape == (1, 256 * 49)


def test_reduced_channels():
    model, config = make(
        "c4", change=lambda c: replace(c, head=replace(c.head, reduced_channels=12))
    )
    head = model.detector.head
    assert head.layers[0].in_features == 12 * 49
    assert (head.whole_map(torch.randn(1, 128, 4, 6)) >= 0).all()
    assert config.head.reduced_channels == 12


def test_several_frames_at_once_equal_single_ones():
    model, _ = make("c4")
    both = frames(2)
    limits = settings(model.config)
    for i, found in enumerate(model.detect(both, limits)):
        alone = model.step(both[i : i + 1], model.start_video(limits))
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=1e-4, atol=1e-4)
