"""Feature pyramid: levels, sums, extra levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from egolib.nn.config import PyramidConfig
from egolib.nn.fpn import FeaturePyramid, MapReduction

MAPS = [torch.randn(2, c, 3 * s, 5 * s) for c, s in ((4, 8), (8, 4), (16, 2), (32, 1))]


def test_pool_level_takes_every_second_pixel():
    levels = FeaturePyramid([4, 8, 16, 32], PyramidConfig(6, levels=5))(MAPS)
    assert [tuple(x.shape[1:]) for x in levels][:4] == [
        (6, 24, 40),
        (6, 12, 20),
        (6, 6, 10),
        (6, 3, 5),
    ]
    assert torch.equal(levels[4], F.max_pool2d(levels[3], 1, stride=2))


def test_conv_levels_start_at_the_last_and_have_relu_between():
    pyramid = FeaturePyramid([4, 8, 16, 32], PyramidConfig(6, first=1, levels=5, extra="conv"))
    levels = pyramid(MAPS)
    assert [tuple(x.shape[-2:]) for x in levels] == [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    assert torch.equal(levels[3], pyramid.extra[0](levels[2]))
    assert torch.equal(levels[4], pyramid.extra[1](levels[3].relu()))


def test_top_down_sum_handles_odd_sizes():
    pyramid = FeaturePyramid([4, 8], PyramidConfig(6, levels=2))
    maps = [torch.randn(1, 4, 7, 9), torch.randn(1, 8, 4, 5)]
    top = pyramid.lateral[1](maps[1])
    total = pyramid.lateral[0](maps[0]) + F.interpolate(top, (7, 9), mode="nearest")
    torch.testing.assert_close(pyramid(maps)[0], pyramid.output[0](total))


def test_reduction_is_convolution_and_relu():
    reduced = MapReduction(4, 3)(MAPS[0])
    assert reduced.shape == (2, 3, 24, 40) and (reduced >= 0).all()
