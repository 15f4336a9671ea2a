"""Swin transformer: windows, shifts, masks, merging, drop path."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from egolib.nn.config import SwinConfig
from egolib.nn.swin import (
    DropPath,
    PatchMerging,
    Swin,
    SwinBlock,
    WindowAttention,
    WindowLayout,
    relative_position_index,
)

SMALL = SwinConfig(8, (2, 2, 2, 2), (1, 2, 2, 4), drop_path=0.0)


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("size", [(7, 7), (10, 15), (3, 20)])
def test_split_and_join_are_inverse(size, shift):
    x = torch.randn(2, *size, 5)
    layout = WindowLayout(size, 7, shift)
    windows = layout.split(x)
    assert windows.shape == (2, layout.rows * layout.columns, 49, 5)
    assert torch.equal(layout.join(windows), x)


def test_mask_separates_what_rolling_joined():
    layout = WindowLayout((14, 14), 7, 3)
    place = torch.arange(14.0).expand(14, 14)[None, :, :, None]
    columns = layout.split(place)[0, :, :, 0]  # (n, T)
    far = (columns[:, :, None] - columns[:, None]).abs() >= 7
    assert (layout.mask()[far] == -100).all()
    assert layout.mask()[0].eq(0).all()  # the first window is untouched
    assert WindowLayout((14, 14), 7, 0).mask() is None


def test_relative_positions():
    index = relative_position_index(7)
    assert index.shape == (49, 49) and index.min() == 0 and index.max() == 168
    assert (index.diagonal() == 84).all()
    assert index[0, 1] == 83 and index[1, 0] == 85 and index[0, 7] == 84 - 13


def test_attention_equals_the_formula():
    torch.manual_seed(0)
    block = SwinBlock(8, 2, SMALL, shifted=True, drop_path=0)
    x = torch.randn(2, 10, 12, 8)
    layout, attention = block.layout(x), block.attention
    with torch.no_grad():
        attention.bias_table.normal_()
        windows = layout.split(x)
        q, k, v = (
            y.unflatten(-1, (2, 4)).transpose(2, 3) for y in attention.qkv(windows).chunk(3, -1)
        )
        weights = q @ k.transpose(-1, -2) / 2 + attention.bias() + layout.mask()[:, None]
        mixed = (weights.softmax(-1) @ v).transpose(2, 3).flatten(3)
        expected = layout.join(attention.out(mixed))
        torch.testing.assert_close(block.attend_windows(x), expected)


def test_merging_joins_as_unfold_does():
    merge, x = PatchMerging(3), torch.randn(1, 5, 7, 3)
    padded = F.pad(x.permute(0, 3, 1, 2), (0, 1, 0, 1))
    columns = F.unfold(padded, 2, stride=2).transpose(1, 2)  # (1, 12, 4 * 3)
    expected = merge.reduction(merge.norm(columns)).view(1, 3, 4, 6)
    torch.testing.assert_close(merge(x), expected)


def test_maps_and_batches():
    network = Swin(SMALL).eval()
    images = torch.randn(2, 3, 66, 90)
    with torch.no_grad():
        maps, alone = network(images), network(images[1:])
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 17, 23), (16, 9, 12), (32, 5, 6), (64, 3, 3)]
    for both, one in zip(maps, alone, strict=False):
        torch.testing.assert_close(both[1:], one)


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    drop, x = DropPath(0.25), torch.ones(4000, 3)
    torch.manual_seed(0)
    dropped, same = drop.together(x, 2 * x)
    assert torch.equal(same, 2 * dropped)
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert abs(dropped.mean() - 1) < 0.05
    assert drop.eval()(x) is x


def test_drop_path_grows_with_depth():
    network = Swin(replace(SMALL, drop_path=0.7))
    shares = [b.drop_path.fraction for s in network.stages for b in s.blocks]
    assert shares == pytest.approx([0.1 * i for i in range(8)])


def test_window_attention_accepts_more_keys_than_queries():
    attention = WindowAttention(8, 2, 7)
    query, key = torch.randn(1, 3, 49, 8), torch.randn(1, 3, 98, 8)
    assert attention.attend(query, key, key, torch.zeros(2, 49, 98)).shape == query.shape
