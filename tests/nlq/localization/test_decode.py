"""From points to windows in seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.nlq.config import DataConfig, InferConfig, LossConfig
from egolib.nlq.data.annotations import read_queries
from egolib.nlq.localization.decode import candidates, decode, to_seconds
from egolib.nn.points import assign, make_points, pyramid_lengths
from egolib.ops.segments import Suppression, hull_iou, iou

LENGTHS = (8, 4, 2)
DATA = DataConfig()
SEC_PER_FEATURE = DATA.stride_frames / DATA.fps


def outputs(points):
    """Scores and offsets that are zero but at some points: index -> (score, left, right)."""
    scores, offsets = np.zeros((14, 1), np.float32), np.zeros((14, 2), np.float32)
    for index, (score, left, right) in points.items():
        scores[index], offsets[index] = score, (left, right)
    return scores, offsets


def test_nothing_above_the_threshold():
    segments, scores, labels = decode(*outputs({}), LENGTHS, 10.0, InferConfig(), DATA)
    assert segments.shape == (0, 2) and len(scores) == len(labels) == 0


def test_levels_in_order_and_offsets_in_strides():
    found = candidates(
        *outputs({2: (0.3, 1, 2), 5: (0.9, 0, 1), 9: (0.5, 1, 1)}), LENGTHS, InferConfig()
    )
    assert found.segments.tolist() == [[5, 6], [1, 4], [0, 4]]
    np.testing.assert_allclose(found.scores, [0.9, 0.3, 0.5])


def test_the_best_of_each_level():
    points = {i: (0.1 + i / 10, 1, 1) for i in range(4)} | {8: (0.2, 1, 1)}
    found = candidates(*outputs(points), LENGTHS, InferConfig(candidates_per_level=2))
    np.testing.assert_allclose(found.scores, [0.4, 0.3, 0.2])


def test_short_windows_go():
    found = candidates(*outputs({2: (0.9, 0, 0), 3: (0.8, 0, 1)}), LENGTHS, InferConfig())
    assert found.segments.tolist() == [[3, 4]]


def test_several_classes():
    scores = np.zeros((14, 2), np.float32)
    scores[3] = 0.2, 0.6
    found = candidates(scores, np.ones((14, 2), np.float32), LENGTHS, InferConfig())
    assert found.labels.tolist() == [1, 0]
    assert found.segments.tolist() == [[2, 4], [2, 4]]


def test_times_are_clipped_to_the_clip():
    segments = np.array([[-10, 5], [5, 1000]], np.float32)
    found = to_seconds(segments, 20.0, "consistent", DATA)
    np.testing.assert_allclose(found, [[0, 5 * SEC_PER_FEATURE], [5 * SEC_PER_FEATURE, 20]])
    assert np.signbit(found[0, 0])  # as the official decoder has it


@pytest.mark.parametrize("window_sec", [(5.0, 5.8), (30.0, 34.0)])
def test_a_model_that_meets_its_targets(window_sec):
    """With the consistent offset it is right; with the official one 0.267 s late, which
    costs a short window its hit."""
    lengths = pyramid_lengths(128, 7)
    window = np.array([window_sec])
    target = torch.from_numpy(window * DATA.fps / DATA.stride_frames)
    config = LossConfig(positives="guaranteed")
    labels = torch.zeros(1, dtype=torch.long)
    classes, offsets = assign(make_points(lengths), target, labels, config)
    best = {}
    for name in ("official", "consistent"):
        infer = InferConfig(decode_offset=name, suppression=Suppression(max_segments=1))
        segments, _, _ = decode(
            classes.float().numpy(), offsets.float().numpy(), lengths, 60.0, infer, DATA
        )
        best[name] = segments[0]
    np.testing.assert_allclose(best["consistent"], window[0], atol=1e-4)
    np.testing.assert_allclose(best["official"], window[0] + 0.2674, atol=1e-3)
    assert iou(best["consistent"], window[0]) > 0.99
    assert (iou(best["official"], window[0]) > 0.5) == (window_sec[0] == 30)


def test_what_the_official_offset_costs_on_the_real_answers(real_dir):
    """Answers that a model which meets its targets would miss, by being late alone."""
    queries = read_queries(real_dir / "nlq" / "nlq_val.json")
    answers = np.array([query.windows_sec[0] for query in queries])
    ends = np.array([query.duration_sec for query in queries])
    late = np.clip(answers + 0.5 * SEC_PER_FEATURE, 0, ends[:, None])
    found = np.nan_to_num(hull_iou(late, answers))
    assert 100 * (found <= 0.5).mean() == pytest.approx(5.03, abs=0.01)
    assert 100 * (found <= 0.3).mean() == pytest.approx(1.87, abs=0.01)
