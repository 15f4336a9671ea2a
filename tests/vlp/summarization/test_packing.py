from __future__ import annotations

import numpy as np
import pytest

from egolib.errors import EgolibError
from egolib.vlp.summarization.packing import pack, segment_lengths, shot_places


def test_lengths_of_segments() -> None:
    assert segment_lengths(np.array([3, 4]), 9, 5, 6).tolist() == [3, 1, 5, 0, 0]
    assert segment_lengths(np.zeros(0, int), 4, 2, 6).tolist() == [4, 0]


@pytest.mark.parametrize("points, shots", [([1, 2, 3], 4), ([1], 9), ([0], 4)])
def test_segments_that_do_not_fit(points: list[int], shots: int) -> None:
    with pytest.raises(EgolibError, match="do not fit"):
        segment_lengths(np.array(points), shots, 3, 6)


def test_shots_keep_their_order_between_padding() -> None:
    lengths = np.array([2, 0, 3])
    assert shot_places(lengths, 4).tolist() == [0, 1, 8, 9, 10]
    rows = np.arange(10.0).reshape(5, 2)
    packed = pack(rows, lengths, 4, np.array([-1.0, -2.0]))
    assert packed.shape == (3, 4, 2)
    assert np.array_equal(packed.reshape(12, 2)[shot_places(lengths, 4)], rows)
    assert (packed[1] == [-1, -2]).all() and (packed[0, 2:] == [-1, -2]).all()
    with pytest.raises(EgolibError, match="4 shots for segments"):
        pack(rows[:4], lengths, 4, np.zeros(2))
