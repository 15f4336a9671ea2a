"""Clips through the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from egolib.mq.config import InferConfig
from egolib.mq.localization.inference import propose_clips
from egolib.mq.models.vsgn import build
from tests.mq.small import CLIPS, SMALL, data


def test_clips_in_order_whatever_the_batch():
    network = build(SMALL, 0)
    found = {
        size: list(propose_clips(network, data(training=False), InferConfig(batch_size=size)))
        for size in (1, 2)
    }
    assert [clip for clip, _ in found[1]] == CLIPS
    for (_, one), (_, two) in zip(found[1], found[2], strict=False):
        assert len(one) == len(two) > 0
        np.testing.assert_allclose(one.scores, two.scores, rtol=1e-4, atol=1e-6)
        assert one.segments_sec.min() >= 0 and one.segments_sec.max() <= 59 / 2


def test_windows_of_a_clip_become_one():
    model = replace(SMALL, stitch_gap=4, stitched_neighbors=True)
    windows = data(training=False, stitching="vsgn", model=model)
    found = list(propose_clips(build(model, 0), windows, InferConfig(batch_size=3)))
    assert [clip for clip, _ in found] == CLIPS
    assert len(windows) == 12
