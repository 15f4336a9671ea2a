"""Candidates of a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from egolib.mq.config import InferConfig
from egolib.mq.localization.proposals import ClipOutputs, merge, propose, unstitch
from tests.mq.small import SMALL


def outputs(*boxes, scores=None, length=16):
    boxes = np.array(boxes, np.float32)
    scores = np.tile(np.float32([0.1, 0.6, 0.3]), (len(boxes), 1)) if scores is None else scores
    curve = np.linspace(0, 1, length, dtype=np.float32)
    return ClipOutputs(scores, boxes, curve[::-1].copy(), curve)


def test_score_is_probability_times_both_ends():
    found = propose(outputs((3, 12)), valid=16, fps=2.0, config=InferConfig())
    assert found.labels.tolist() == [1, 2]
    np.testing.assert_allclose(found.segments_sec, [[1.5, 6], [1.5, 6]])
    np.testing.assert_allclose(found.scores, [0.6 * 0.8 * 0.8, 0.3 * 0.8 * 0.8], rtol=1e-6)


def test_ends_between_positions_take_the_mean():
    found = propose(outputs((2.5, 12.5)), 16, 1.0, InferConfig())
    assert found.scores[0] == pytest.approx(0.6 * (12.5 / 15) * (12.5 / 15))


def test_curves_are_read_before_boxes_are_cut_to_the_clip():
    found = propose(outputs((3, 15)), valid=10, fps=1.0, config=InferConfig())
    np.testing.assert_allclose(found.segments_sec[0], [3, 9])
    assert found.scores[0] == pytest.approx(0.6 * 0.8 * 1.0)


def test_unlikely_classes_are_left_out():
    scores = np.float32([[1, 1e-9, 1e-8]])
    assert propose(outputs((3, 9), scores=scores), 16, 1.0, InferConfig()).labels.tolist() == [2]
    scores = np.float32([[1, 0, 0]])
    assert len(propose(outputs((3, 9), scores=scores), 16, 1.0, InferConfig())) == 0


def test_windows_are_moved_and_merged():
    parts = [
        propose(outputs((3, 9)), 16, 2.0, InferConfig(), first_feat=first) for first in (0, 20)
    ]
    found = merge(parts)
    assert len(found) == 4
    np.testing.assert_allclose(found.segments_sec[2], [11.5, 14.5])


def test_boxes_in_the_stretched_copy_are_moved_back():
    model = replace(SMALL, length=40, stitch_gap=4)
    boxes = np.float32([[2, 6], [14, 27], [9, 20]])
    found = unstitch(boxes, 10, model)
    np.testing.assert_allclose(found, [[2, 6], [0, 5], [9, 20]])
    moved = propose(outputs((14, 27), length=40), 10, 1.0, InferConfig(), stitched=model)
    np.testing.assert_allclose(moved.segments_sec[0], [0, 5])
