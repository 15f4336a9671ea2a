"""Anchors: their order and both roundings."""

from __future__ import annotations

import torch

from egolib.nn.anchors import AnchorGrid, cell_anchors, grid_anchors
from egolib.nn.config import AnchorConfig


def test_exact_anchors_have_the_wanted_area_and_ratio():
    config = AnchorConfig((8, 16), ((32.0, 64.0), (128.0,)), (0.5, 1.0, 2.0))
    cells = cell_anchors(config, 0)
    size = cells[:, 2:] - cells[:, :2]
    torch.testing.assert_close(size.prod(1).sqrt(), torch.tensor([32.0, 64.0] * 3))
    ratios = torch.tensor([0.5, 0.5, 1, 1, 2, 2])
    torch.testing.assert_close(size[:, 1] / size[:, 0], ratios)
    torch.testing.assert_close(cells[:, :2], -cells[:, 2:])
    assert cell_anchors(config, 1).shape == (3, 4)


def test_legacy_anchors_are_whole_windows_around_the_middle():
    cells = cell_anchors(AnchorConfig(rounding="legacy"))
    assert cells[0].tolist() == [-38.0, -16.0, 53.0, 31.0]
    torch.testing.assert_close((cells[:, :2] + cells[:, 2:]) / 2, torch.full((12, 2), 7.5))


def test_grid_runs_over_rows_columns_anchors():
    cells = torch.tensor([[-1.0, -1, 1, 1], [-2.0, -2, 2, 2]])
    grid = grid_anchors(cells, (2, 3), 10)
    assert grid.shape == (12, 4)
    assert grid[0].tolist() == [-1, -1, 1, 1]
    assert grid[1].tolist() == [-2, -2, 2, 2]
    assert grid[2].tolist() == [9, -1, 11, 1]
    assert grid[6].tolist() == [-1, 9, 1, 11]


def test_grid_is_kept_per_level_and_size():
    grid = AnchorGrid(AnchorConfig((8, 16), ((32.0,), (64.0,))))
    first, second = grid([(4, 4), (2, 2)], "cpu")
    assert first.shape == (48, 4) and second.shape == (12, 4)
    assert grid.level(0, (4, 4), "cpu") is first
    assert grid.per_cell == 3
