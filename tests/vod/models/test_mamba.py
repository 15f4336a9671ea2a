"""MAMBA: the head equals the official order of work; pixel level; nothing computed twice."""

from __future__ import annotations

import torch

from egolib.vod.models import pixels
from egolib.vod.models.bank import MemoryBank
from tests.oracles.vod import official_mamba_head
from tests.vod.small import begin, counted, frames, make, settings


def test_head_equals_the_official_order_of_work():
    model, config = make("mamba")
    head, rules = model.head, settings(config).memory
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    banks = [
        [MemoryBank(rules.size, rules.keys, generator) for _ in head.layers]
        for generator in generators
    ]
    start = torch.randn(50, config.head.width)
    with torch.no_grad():
        for bank, plain, aggregator in zip(*banks, head.aggregators, strict=False):
            bank.update(start, *aggregator.project(start))
            plain.update(start)
        for i in range(6):  # the banks fill up and forget
            pooled = torch.randn(20, head.layers[0].in_features) + i
            ours = model.attend_and_write(pooled, banks[0], config.memory.top)
            official = official_mamba_head(head, pooled, banks[1], config.memory.top)
            torch.testing.assert_close(ours, official, rtol=1e-4, atol=1e-4)
    for bank, plain in zip(*banks, strict=False):
        torch.testing.assert_close(bank.all()[0], plain.all()[0], rtol=1e-4, atol=1e-4)


def test_first_frame_fills_and_later_ones_add():
    model, config = make("mamba")
    state = begin(model, frames(3, seed=5, first=50))
    lengths = []
    for i in range(3):
        model.step(frames(1, first=i), state)
        lengths.append(len(state.banks[0]))
    top = config.memory.top
    assert lengths == [4 * top, 5 * top, 6 * top]


def test_references_are_not_computed_again():
    model, _ = make("mamba_both")
    video = frames(5)
    seen, state = counted(model), begin(model, video[1:4])
    for i in range(5):
        model.step(video[i : i + 1], state)
    assert sum(seen) == 5


def test_pixel_bank_grows_with_cells_of_detections():
    model, config = make("mamba_pixel")
    state = begin(model, frames(2, seed=5, first=50))
    model.step(frames(1), state)
    first = len(state.pixel_bank)
    assert 0 < first <= settings(config).memory.size + settings(config).memory.pixels_per_frame
    assert not state.banks


def test_cells_of_a_box():
    size = (4, 6)
    inside = pixels.cells_with_centre_inside([0, 0, 39, 24], size, 16)
    assert inside.tolist() == [0, 1, 6, 7]  # centres at 8 and 24, the edge included
    assert pixels.cells_with_centre_inside([33, 33, 38, 38], size, 16).tolist() == [14]
    assert pixels.cells_with_centre_inside([500, 500, 501, 501], size, 16).tolist() == [23]


def test_truncated_corners_wrap_at_the_right_edge_officially():
    size = (3, 4)
    box = [40.0, 0.0, 64.0, 15.0]  # 64 is the width of four cells
    assert pixels.cells_between_corners(box, size, 16).tolist() == [2, 3, 4]
    assert pixels.cells_between_corners(box, size, 16, "inside").tolist() == [2, 3]
    tall = [0.0, 40.0, 10.0, 48.0]
    assert pixels.cells_between_corners(tall, size, 16).tolist() == [8, 11]


def test_largest_cells_and_random_rows():
    x = torch.zeros(1, 2, 2, 3)
    x[0, :, 1, 2] = 5
    x[0, 0, 0, 1] = 3
    assert pixels.largest_cells(x, 2).tolist() == [5, 1]
    rows = torch.arange(10.0)[:, None]
    assert pixels.random_rows(rows, 20, None) is rows
    chosen = pixels.random_rows(rows, 4, torch.Generator().manual_seed(0))
    assert len(set(chosen[:, 0].tolist())) == 4
