"""From logits to pairs of cells to windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from egolib.errors import EgolibError
from egolib.nlq.config.span import SpanInferConfig
from egolib.nlq.models.vslnet.decode import best_pairs, decode
from egolib.nlq.models.vslnet.masks import blocked
from egolib.nlq.models.vslnet.network import Spans
from egolib.ops.segments import iou

OFFICIAL = SpanInferConfig()
VALID = SpanInferConfig(few_pairs="only_valid")


def spans(start, end, length=None):
    """One question with these logits; cells from ``length`` on are padding."""
    mask = torch.arange(len(start)).unsqueeze(0) < (length or len(start))
    values = [blocked(torch.tensor([x], dtype=torch.float32), mask) for x in (start, end)]
    return Spans(*values, values[0], mask)


def test_probabilities_of_pairs():
    start, end = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.0, 3.0, 1.0]])
    (pairs,) = best_pairs(start, end, 6)
    expected = (start[0].softmax(0)[:, None] * end[0].softmax(0)).triu().numpy()
    assert list(zip(pairs.start, pairs.end, strict=True))[:2] == [(0, 1), (1, 1)]
    np.testing.assert_allclose(pairs.probability, expected[pairs.start, pairs.end])
    assert (np.diff(pairs.probability) <= 0).all()
    assert (pairs.start <= pairs.end).all()


def test_an_end_before_the_start_is_no_answer():
    (pairs,) = best_pairs(torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[9.0, 0.0, 0.0]]), 1)
    assert (pairs.start[0], pairs.end[0]) in {(0, 0), (2, 2)}


def test_few_pairs():
    """A clip of two cells has three pairs: officially impossible ones fill the list."""
    two = spans([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], length=2)
    (official,) = best_pairs(two.start, two.end)
    assert len(official.start) == 5 and (official.probability[3:] == 0).all()
    (valid,) = best_pairs(two.start, two.end, mask=two.mask)
    assert sorted(zip(valid.start, valid.end, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    np.testing.assert_array_equal(valid.probability, official.probability[:3])


def test_a_start_and_an_end_of_different_moments_make_no_window():
    """Two moments: 0 starts and 7 ends likeliest, each beside a fitting end or start."""
    both = spans([5.0, 0, 0, 0, 0, 0, 4.0, 0], [0, 4.0, 0, 0, 0, 0, 0, 5.0])
    ((official, _),) = decode(both, [8], [16.0], OFFICIAL)
    ((short, scores),) = decode(both, [8], [16.0], replace(OFFICIAL, longest_sec=4.0))
    assert official[0].tolist() == [0, 16]
    assert short[:2].tolist() in ([[0, 4], [12, 16]], [[12, 16], [0, 4]])
    assert (short[:, 1] - short[:, 0]).max() == 4 and len(short) == 5
    assert (np.diff(scores) <= 0).all()
    ((cell, _),) = decode(both, [8], [16.0], replace(OFFICIAL, longest_sec=0.1))
    assert ((cell[:, 1] - cell[:, 0]) == 2).all()  # no window is shorter than a cell


def test_few_pairs_as_windows():
    two = spans([1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], length=2)
    ((windows, scores),) = decode(two, [2], [4.0], VALID)
    assert len(windows) == len(scores) == 3
    assert sorted(map(tuple, windows.tolist())) == [(0, 2), (0, 4), (2, 4)]
    behind = replace(two, end=two.start.flip(1) * 0, start=two.start)  # ends everywhere alike
    with pytest.raises(EgolibError, match="only_valid"):
        decode(behind, [2], [4.0], OFFICIAL)


def test_fewer_than_three_cells():
    short = spans([1.0, 0.0], [0.0, 1.0])
    with pytest.raises(EgolibError, match="5 pairs were asked of 2 cells"):
        decode(short, [2], [4.0], OFFICIAL)
    assert len(decode(short, [2], [4.0], VALID)[0][0]) == 3


def test_cells_behind_the_labels():
    """Where the features are longer than the labels, windows beyond those are left out."""
    long = spans([0.0] * 5 + [9.0], [0.0] * 5 + [9.0])
    with pytest.raises(EgolibError, match="cell 5 of a clip of 4 cells"):
        decode(long, [4], [8.0], OFFICIAL)
    ((windows, _),) = decode(long, [4], [8.0], VALID)
    assert windows.max() <= 8.0


def test_windows_in_seconds():
    sure = spans([0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0])
    ((windows, scores),) = decode(sure, [4], [8.0], replace(OFFICIAL, windows=1))
    assert windows.tolist() == [[2.0, 6.0]] and windows.dtype == np.float32
    assert scores.shape == (1,)


def test_neighbours_of_one_peak():
    """Officially they fill the list; with suppression the second peak is heard."""
    logits = [0.0, 4.0, 6.0, 4.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0]
    peaks = spans(logits, logits)
    ((official, _),) = decode(peaks, [10], [10.0], OFFICIAL)
    hard = replace(OFFICIAL, suppression="hard", iou_threshold=0.3)
    ((windows, scores),) = decode(peaks, [10], [10.0], hard)
    assert not any((window == [8, 9]).all() for window in official)
    assert any((window == [8, 9]).all() for window in windows)
    np.testing.assert_array_equal(windows[0], official[0])
    assert len(windows) == 5 and (np.diff(scores) <= 0).all()
    overlaps = iou(windows[:, None], windows[None])
    assert (overlaps[~np.eye(5, dtype=bool)] < 0.3).all()


def test_each_clip_by_its_own_length():
    start, end = torch.eye(4)[[0, 1]] * 9, torch.eye(4)[[1, 2]] * 9
    both = Spans(start, end, start, torch.ones(2, 4, dtype=torch.bool))
    first, second = decode(both, [4, 4], [4.0, 40.0], OFFICIAL)
    assert first[0][0].tolist() == [0, 2] and second[0][0].tolist() == [10, 30]
