"""From ActionFormer's outputs to candidates, and how they are suppressed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from egolib.mq.config import DataConfig, GridConfig, InferConfig
from egolib.mq.config.run import actionformer_infer
from egolib.mq.data.points import PointData
from egolib.mq.localization.points import point_batch, point_clips
from egolib.mq.localization.proposals import Proposals
from egolib.mq.localization.ranking import detect, retrieve
from egolib.mq.models.build import build
from egolib.nn.points import Predictions
from tests.mq.small import CLASSES, CLIPS, POINTS, store

INFER = actionformer_infer()
ROWS = DataConfig(grid=GridConfig(times="rows"))


class Planted(torch.nn.Module):
    """Point 10 of level 0 says: the second class, 4 features to the left, 6 to the right."""

    def forward(self, features, mask):
        logits = torch.full((len(features), features.shape[1], 3), -20.0)
        offsets = torch.zeros(len(features), features.shape[1], 2)
        logits[:, 10, 1], offsets[:, 10] = 20.0, torch.tensor([4.0, 6.0])
        return Predictions(logits, offsets, mask, (features.shape[1],))


def test_a_planted_moment_is_found_in_seconds():
    data = PointData(CLIPS, store(), CLASSES, POINTS, ROWS)
    batch = data.collate([data[0], data[1]])
    for _, found in point_batch(Planted(), batch, ROWS.grid, INFER):
        np.testing.assert_allclose(found.segments_sec, [[3.0, 8.0]])
        assert found.labels.tolist() == [2] and found.scores[0] == pytest.approx(1)


def test_every_clip_once_and_windows_joined():
    data = PointData(CLIPS, store(CLIPS, 150), CLASSES, POINTS, ROWS)
    pairs = list(point_clips(build(POINTS, 0).eval(), data, INFER))
    assert [clip.clip_uid for clip, _ in pairs] == ["c0", "c1", "c2"]
    assert all((found.segments_sec <= 30).all() for _, found in pairs)


def proposals():
    segments = np.array([[1.004, 5.0], [1.0, 5.1], [1.0, 5.1], [20, 22]])
    return Proposals(segments, np.array([0.9, 0.8, 0.7, 0.00101]), np.array([1, 1, 2, 2]))


def test_classes_decay_by_themselves_and_numbers_are_rounded():
    found = detect(proposals(), 21.0, INFER)
    assert found.labels.tolist() == [1, 2, 1, 2]
    assert found.scores[:2] == pytest.approx([0.9, 0.7]) and found.scores[2] < 0.8
    records = found.records(["-", "close", "open"])
    assert records[0] == {"label": "close", "score": 0.9, "segment": [1.0, 5.0]}
    assert records[-1]["segment"] == [20.0, 21.0]


def test_asked_classes_are_the_detections_of_them():
    found = retrieve(proposals(), 21.0, [2], INFER)
    assert found.labels.tolist() == [2, 2]
    everything = retrieve(proposals(), 21.0, None, INFER)
    assert len(everything.labels) == 4


def test_vsgn_is_not_touched():
    assert InferConfig().suppression is None
