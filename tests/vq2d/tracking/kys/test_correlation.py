"""The cost volume: matrix product against the order of the compiled layer."""

from __future__ import annotations

import pytest
import torch

from egolib.vq2d.tracking.kys.correlation import absolute_positions, correlation, cost_volume


@pytest.mark.parametrize(("size", "reach"), [((6, 6), 9), ((8, 6), 2), ((5, 7), 1)])
def test_both_orders_of_work(size: tuple[int, int], reach: int) -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, *size), torch.randn(2, 3, *size)
    expected = absolute_positions(correlation(a, b, 3, 2 * reach + 1)).flatten(1, 2)
    torch.testing.assert_close(cost_volume(a, b, 3, reach), expected, rtol=1e-4, atol=1e-4)


def test_one_entry_by_hand() -> None:
    torch.manual_seed(0)
    current, previous = torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5)
    volume = cost_volume(current, previous, 3, 9).reshape(5, 5, 5, 5)
    expected = (current[0, :, 1:4, 1:4] * previous[0, :, 2:5, 0:3]).sum()
    torch.testing.assert_close(volume[3, 1, 2, 2], expected)
